/** Interruption of the running command by Ctrl-C, or by the signal that asks a process to end. */

/** The reason with which work ends that the user interrupted. */
export class Interrupted extends Error {}

const controller = new AbortController();

/** The exit code of a process that the user interrupted, as shells write it: 128 and the number of SIGINT. */
export const INTERRUPTED_CODE = 130;

let kept: string | undefined;

/** Makes the first Ctrl-C ask the work to stop at its next safe point, and the second end the process at once. */
export function listenForInterrupts(): void {
  for (const signal of ['SIGINT', 'SIGTERM'] as const)
    process.on(signal, () => {
      if (controller.signal.aborted) process.exit(INTERRUPTED_CODE);
      process.stderr.write('\ndino8: stopping; press Ctrl-C again to stop at once.\n');
      controller.abort(new Interrupted());
    });
}

/** The signal that long work of the command line obeys. */
export const interruption = (): AbortSignal => controller.signal;

/** Says that the running command keeps its state in `path`, and continues there when it is run again. */
export function keepsOnInterruption(path: string | undefined): void {
  kept = path;
}

/** The sentence with which an interrupted command ends. */
export const interruptedSentence = (): string =>
  kept === undefined
    ? 'interrupted.'
    : `interrupted; the finished work is kept in ${kept}, and the same command continues there.`;
