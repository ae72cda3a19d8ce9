/** Runs the command line: as it is built, in a process of its own, or from its sources in the process of the tests. */
import { execFile } from 'node:child_process';
import { join } from 'node:path';
import { packageRoot } from '../src/base/package-root.ts';
import { main } from '../src/cli/main.ts';

export const entry = join(packageRoot, 'dist/cli.mjs');

export interface Result {
  readonly code: number;
  readonly stdout: string;
  readonly stderr: string;
}

/** A call of `fs.promises` in the process of the command line: a moment that does not depend on how busy the machine is. */
export interface Moment {
  /** The names of the functions of which a call counts. By default those that open a file and append to one. */
  readonly calls?: readonly ('open' | 'appendFile' | 'rename')[];
  /** Only calls for a path that matches count; of a renamed file, the new path. */
  readonly path: RegExp;
  /** The number of the call, from 1. */
  readonly count: number;
  /** The time in milliseconds from the call to the signal. By default the process gets it before the call. */
  readonly delay?: number;
}

/** The arguments of Node.js for a process of the command line that gets a signal at a certain moment. */
export function signalledAt(
  signal: 'SIGINT' | 'SIGKILL',
  { calls = ['open', 'appendFile'], path, count, delay }: Moment,
): string[] {
  const send = `process.kill(process.pid, ${JSON.stringify(signal)})`;
  const script = `
    import fs from 'node:fs';
    import { syncBuiltinESMExports } from 'node:module';
    let left = ${count};
    for (const name of ${JSON.stringify(calls)}) {
      const original = fs.promises[name];
      fs.promises[name] = (path, ...rest) => {
        const subject = String(name === 'rename' ? rest[0] : path);
        if (${path}.test(subject) && --left === 0)
          ${delay === undefined ? send : `setTimeout(() => ${send}, ${delay})`};
        return original(path, ...rest);
      };
    }
    syncBuiltinESMExports();`;
  return ['--import', `data:text/javascript,${encodeURIComponent(script)}`, entry];
}

/** Runs `command` (Node.js) with `first` (the built command line) and `args`; never rejects. */
export function run(
  args: readonly string[],
  command = process.execPath,
  first: readonly string[] = [entry],
): Promise<Result> {
  return new Promise((resolve) => {
    execFile(command, [...first, ...args], { maxBuffer: 1 << 28 }, (error, stdout, stderr) => {
      const code = typeof error?.code === 'number' ? error.code : error ? -1 : 0;
      resolve({ code, stdout, stderr });
    });
  });
}

/**
 * The arguments of Node.js for a process of the command line whose thread stops for ever when it opens a file whose path
 * matches. It then prints the word BLOCKED.
 */
export function blockedAt(path: RegExp): string[] {
  const script = `
    import fs from 'node:fs';
    import { syncBuiltinESMExports } from 'node:module';
    const original = fs.promises.open;
    fs.promises.open = (path, ...rest) => {
      if (!${path}.test(String(path))) return original(path, ...rest);
      fs.writeSync(2, 'BLOCKED');
      for (;;) Atomics.wait(new Int32Array(new SharedArrayBuffer(4)), 0, 0);
    };
    syncBuiltinESMExports();`;
  return ['--import', `data:text/javascript,${encodeURIComponent(script)}`, entry];
}

/** Runs the command line and sends it a signal as soon as its standard error matches; never rejects. */
export function runAndSignal(
  signal: 'SIGINT' | 'SIGTERM' | 'SIGKILL',
  when: RegExp,
  first: readonly string[],
  args: readonly string[],
): Promise<Result> {
  return new Promise((resolve) => {
    const child = execFile(process.execPath, [...first, ...args], (error, stdout, stderr) =>
      resolve({ code: typeof error?.code === 'number' ? error.code : error ? -1 : 0, stdout, stderr }),
    );
    let seen = '';
    child.stderr?.on('data', (piece) => {
      const before = when.test(seen);
      seen += piece;
      if (!before && when.test(seen)) child.kill(signal);
    });
  });
}

const SIGNALS = ['SIGINT', 'SIGTERM'] as const;

/**
 * Runs the command line in this process, which takes half a second less than a process of its own. One call at a time:
 * what the process prints meanwhile is taken as the output of the command.
 */
export async function runHere(args: readonly string[]): Promise<Result> {
  const printed = { stdout: '', stderr: '' };
  const original = { stdout: process.stdout.write, stderr: process.stderr.write };
  const listeners = SIGNALS.map((signal) => [signal, process.listeners(signal)] as const);
  for (const name of ['stdout', 'stderr'] as const)
    process[name].write = (chunk: Uint8Array | string) => {
      printed[name] += typeof chunk === 'string' ? chunk : Buffer.from(chunk).toString();
      return true;
    };
  try {
    const code = await main([process.execPath, entry, ...args]);
    return { code, ...printed };
  } finally {
    for (const name of ['stdout', 'stderr'] as const) process[name].write = original[name];
    for (const [signal, before] of listeners)
      for (const listener of process.listeners(signal))
        if (!before.includes(listener)) process.removeListener(signal, listener);
  }
}
