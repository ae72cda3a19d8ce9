/**
 * Progress of long work, as a library sees it: a function that is told how far it is. The command line draws it;
 * tests and other callers pass nothing.
 */
export interface Progress {
  /** What is being done, as a short phrase: "Scoring FP32". */
  readonly label: string;
  readonly done: number;
  readonly total: number;
}

export type OnProgress = (progress: Progress) => void;

/** What long work takes from its caller: where to report, and a signal that asks it to stop. */
export interface WorkOptions {
  readonly onProgress?: OnProgress | undefined;
  readonly signal?: AbortSignal | undefined;
}
