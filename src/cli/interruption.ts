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
let kept: string | undefined;
let onScratch: (path: string) => void = () => undefined;
let onKept: (path: string | undefined) => void = () => undefined;

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

/** Says that the running command keeps its state in `path`, and continues there when it is run again. */
export function keepsOnInterruption(path: string | undefined): void {
  kept = path;
  onKept(path);
}

/** Calls `listener` with each path that is given to `keepsOnInterruption`. */
export function listenForKept(listener: (path: string | undefined) => void): void {
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

/** The sentence with which an interrupted command ends. `path` is where it keeps its finished work, if there is some. */
export const interruptedSentence = (path = kept): string =>
  path === undefined || !existsSync(path)
    ? 'interrupted; files that were finished are kept, none is left half written, and the same command starts anew.'
    : `interrupted; the finished work is kept in ${path}, and the same command continues there.`;
