/**
 * Two processes for each command: one that works, and its parent, which only listens. JavaScript and native code that take
 * long block the thread that hears signals, and a process that the system ends says nothing. The parent always hears, ends
 * the work that does not stop by itself, and says in a sentence how it ended. Files appear whole and journals grow by
 * lines, so an end at any moment loses nothing that was finished.
 */
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { existsSync, renameSync, rmSync } from 'node:fs';
import type { Readable } from 'node:stream';
import { capitalized } from '../base/capitalized.ts';
import { describeDeath, FROM_PARENT, type StartMessage, startCommand } from '../base/command-process.ts';
import { exitWhenErrorsClose } from './closed-output.ts';
import { passOn, USER_ERRORS, useErrorStream } from './error-stream.ts';
import {
  INTERRUPTING,
  INTERRUPTING_SIGNALS,
  type InterruptingSignal,
  interrupt,
  interruptedSentence,
  type Kept,
  listenForKept,
  listenForScratch,
} from './interruption.ts';

/** The time in milliseconds that the work has to stop by itself after a signal: two seconds less what ending it takes. */
const STOP_WITHIN = 1500;
/**
 * The time in milliseconds that the system has to end work that was killed. It frees gigabytes, and waits for what is being written
 * to the disk; nobody has to wait for that.
 */
const END_WITHIN = 250;
/** A signal so soon after the first, in milliseconds, is the same one: `timeout` sends to the process and to its group. */
const SAME_SIGNAL = 300;
const SIGKILL = 9;

/** Runs the command line `entry` with the arguments `given` in a child process. @returns the exit code */
export async function supervise(entry: string, given: readonly string[]): Promise<number> {
  let kept: Kept | undefined;
  const scratch = new Set<string>();
  let stopped: { readonly signal: InterruptingSignal; readonly at: number } | undefined;
  const child = startCommand(entry, given, ['inherit', 'inherit', 'pipe', 'ipc', process.stderr.fd], USER_ERRORS);
  const errors = child.stderr as Readable; // a pipe, by the line above
  const lastWords = passOn(errors);
  const errorsEnd = once(errors, 'close');
  let giveUp: () => void = () => undefined;
  const givenUp = new Promise<undefined>((resolve) => {
    giveUp = () => resolve(undefined);
  });
  const end = () => {
    child.kill('SIGKILL');
    setTimeout(giveUp, END_WITHIN);
  };
  for (const signal of INTERRUPTING_SIGNALS)
    process.on(signal, () => {
      const now = performance.now();
      if (stopped) {
        if (now - stopped.at > SAME_SIGNAL) end();
        return;
      }
      stopped = { signal, at: now };
      process.stderr.write('\ndino8: stopping; press Ctrl-C again to stop at once.\n');
      // The channel may be closed already, if the work has just ended.
      if (child.connected) child.send({ interrupt: signal }, () => undefined);
      setTimeout(end, STOP_WITHIN).unref();
    });
  child.on('message', (message) => {
    if (typeof message === 'object' && 'kept' in message) kept = (message.kept as Kept | null) ?? undefined; // from receiveArguments
    if (typeof message === 'object' && 'scratch' in message && typeof message.scratch === 'string')
      scratch.add(message.scratch);
  });
  // The channel closes after its last message.
  const channelCloses = once(child, 'disconnect');
  const ends: Promise<(number | NodeJS.Signals | null)[]> = once(child, 'exit');
  const whole = Promise.all([ends, channelCloses, errorsEnd]).then(([ending]) => ending);
  const [code, deadly] = (await Promise.race([whole, givenUp])) ?? [];
  if (stopped) {
    for (const path of scratch) removeApart(path);
    child.unref();
    child.channel?.unref();
    errors.destroy();
    const stoppedCode = INTERRUPTING[stopped.signal];
    // With its own code it has said the sentence itself.
    if (code !== stoppedCode) process.stderr.write(`dino8: ${interruptedSentence(kept)}\n`);
    return stoppedCode;
  }
  // Work that was ended had no time to remove them.
  for (const path of scratch) rmSync(path, { recursive: true, force: true });
  // The last words of a process that a signal ended are a stack trace, which only DINO8_DEBUG shows.
  if (lastWords() !== '' && (typeof code === 'number' || process.env.DINO8_DEBUG)) process.stderr.write(lastWords());
  if (typeof code === 'number') return code;
  process.stderr.write(`\ndino8: ${deathSentence(String(deadly), kept)}\n`);
  return 1;
}

/**
 * Removes a folder in a process of its own, which does not end with this one: large files take seconds where the disk is busy. The
 * same command may start again at once, so that the folder first gets another name.
 */
function removeApart(path: string): void {
  const renamed = `${path}.${process.pid}.removed`;
  try {
    renameSync(path, renamed);
  } catch {
    return; // It is not there, or cannot be removed either.
  }
  const script = "require('node:fs').rmSync(process.argv[1], { recursive: true, force: true })";
  spawn(process.execPath, ['-e', script, '--', renamed], { detached: true, stdio: 'ignore' }).unref();
}

/** The sentence about a process that a signal ended which nobody sent to stop it. */
function deathSentence(signal: string, kept: Kept | undefined): string {
  const goesOn =
    kept === undefined || !existsSync(kept.path)
      ? ''
      : ` ${capitalized(kept.what)} is kept in ${kept.path}, and the same command continues there.`;
  return `${describeDeath(signal, '--threads, --batch')}.${goesOn}`;
}

/** True if this process was started by `startCommand`. */
export const isSupervised = (given: readonly string[]): boolean =>
  given[0] === FROM_PARENT && process.send !== undefined;

/** Waits for the arguments that the parent sends, and obeys it from then on. */
export async function receiveArguments(): Promise<string[]> {
  const [message] = await once(process, 'message');
  const { given, errors }: StartMessage = message; // from startCommand
  if (errors !== undefined) {
    useErrorStream(errors);
    exitWhenErrorsClose();
  }
  process.on('message', (message) => {
    const signal =
      typeof message === 'object' && message !== null && 'interrupt' in message ? message.interrupt : undefined;
    const known = INTERRUPTING_SIGNALS.find((each) => each === signal);
    if (known) interrupt(known);
  });
  // The channel must not keep a process alive that has nothing more to do.
  process.channel?.unref();
  listenForKept((kept) => {
    if (process.connected) process.send?.({ kept: kept ?? null }, undefined, undefined, () => undefined);
  });
  listenForScratch((path) => {
    if (process.connected) process.send?.({ scratch: path }, undefined, undefined, () => undefined);
  });
  await dieWithParent();
  return [...given];
}

/** Ends this process when its parent dies: work that nobody can stop would hold locks and the processor. */
async function dieWithParent(): Promise<void> {
  process.on('disconnect', () => process.exit(1));
  if (process.platform !== 'linux') return;
  // The event is not heard while the thread is blocked; the kernel's signal always arrives.
  const PR_SET_PDEATHSIG = 1;
  try {
    const { default: koffi } = await import('koffi');
    koffi.load(null).func('int prctl(int option, unsigned long value)')(PR_SET_PDEATHSIG, SIGKILL);
  } catch {
    // Without koffi there is no ONNX Runtime either: whatever the command does will say so.
  }
}
