/** The progress of long work, which functions report to a callback of their caller. */
export interface Progress {
  /** The name of the work as a short phrase, such as "Scoring FP32". */
  readonly label: string;
  /** The number of finished steps. */
  readonly done: number;
  /** The number of all steps. */
  readonly total: number;
}

/** A function that long work calls after each step. */
export type OnProgress = (progress: Progress) => void;

/** Options that all long work takes. */
export interface WorkOptions {
  /** Called with the progress. */
  readonly onProgress?: OnProgress | undefined;
  /** Stops the work at the next safe point; the function then throws the reason of the signal. */
  readonly signal?: AbortSignal | undefined;
  /** Called with one sentence for each thing that the caller should know and that is no error. */
  readonly onNotice?: ((sentence: string) => void) | undefined;
}
