/** Interruption of the running command by Ctrl-C, or by the signal that asks a process to end. */
import { existsSync } from 'node:fs';

/** The reason with which work ends that the user interrupted. */
class Interrupted extends Error {}

/** The signals that interrupt a command, with the exit code of each as shells write it: 128 and the number of the signal. */
export const INTERRUPTING = { SIGINT: 130, SIGTERM: 143 } as const;

/** A signal that interrupts a command. */
export type InterruptingSignal = keyof typeof INTERRUPTING;

/** Every signal that interrupts a command. */
export const INTERRUPTING_SIGNALS = ['SIGINT', 'SIGTERM'] as const satisfies readonly InterruptingSignal[];

const controller = new AbortController();
let received: InterruptingSignal | undefined;
let kept: Kept | undefined;
let onScratch: (path: string) => void = () => undefined;
let onKept: (kept: Kept | undefined) => void = () => undefined;

/** What a command keeps when it is interrupted. */
export interface Kept {
  /** Where it is. */
  readonly path: string;
  /** The words for it in the sentence with which the command ends. */
  readonly what: string;
}

/** Asks the work to stop at its next safe point. What ends it if it does not is its parent process (supervision.ts). */
export function interrupt(signal: InterruptingSignal): void {
  received ??= signal;
  controller.abort(new Interrupted());
}

/** Makes the signals that this process gets itself interrupt the work. */
export function listenForInterrupts(): void {
  for (const signal of INTERRUPTING_SIGNALS) process.on(signal, () => interrupt(signal));
}

/** The signal that long work of the command line obeys. */
export const interruption = (): AbortSignal => controller.signal;

/** The exit code of the interrupted command; undefined if it was not interrupted. */
export const interruptedCode = (): number | undefined => received && INTERRUPTING[received];

/**
 * Says that the running command keeps its state in `path`, and continues there when it is run again.
 * @param what the words for what is kept there by now
 */
export function keepsOnInterruption(path: string | undefined, what = 'the finished work'): void {
  kept = path === undefined ? undefined : { path, what };
  onKept(kept);
}

/** Calls `listener` with what each call of `keepsOnInterruption` says. */
export function listenForKept(listener: (kept: Kept | undefined) => void): void {
  onKept = listener;
}

/** Says that the folder `path` holds large files that are of no use when the command has ended, however it ends. */
export function removesAtEnd(path: string): void {
  onScratch(path);
}

/** Calls `listener` with each path that is given to `removesAtEnd`. */
export function listenForScratch(listener: (path: string) => void): void {
  onScratch = listener;
}

/** The sentence with which an interrupted command ends. `of` is what it keeps, if that is there. */
export const interruptedSentence = (of = kept): string =>
  of === undefined || !existsSync(of.path)
    ? 'interrupted; files that were finished are kept, none is left half written, and the same command starts anew.'
    : `interrupted; ${of.what} is kept in ${of.path}, and the same command continues there.`;
