/** Runs the built command line in a process of its own. */
import { execFile } from 'node:child_process';
import { join } from 'node:path';
import { packageRoot } from '../src/base/package-root.ts';

export const entry = join(packageRoot, 'dist/cli.mjs');

export interface Result {
  readonly code: number;
  readonly stdout: string;
  readonly stderr: string;
}

/**
 * The arguments of Node.js for a process that gets Ctrl-C when it opens, or appends to, a file whose path ends with
 * `suffix` for the `count`-th time: a moment that does not depend on how busy the machine is.
 */
export function interruptedAt(suffix: string, count: number): string[] {
  const script = `
    import fs from 'node:fs';
    import { syncBuiltinESMExports } from 'node:module';
    let left = ${count};
    for (const name of ['open', 'appendFile']) {
      const original = fs.promises[name];
      fs.promises[name] = (path, ...rest) => {
        if (String(path).endsWith(${JSON.stringify(suffix)}) && --left === 0) process.kill(process.pid, 'SIGINT');
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
