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

export function run(
  args: readonly string[],
  command = process.execPath,
  first: readonly string[] = [entry],
): Promise<Result> {
  return new Promise((resolve) => {
    execFile(command, [...first, ...args], { maxBuffer: 1 << 28 }, (error, stdout, stderr) => {
      const code = typeof error?.code === 'number' ? error.code : error ? -1 : 0;
      resolve({ code, stdout, stderr: stderr.replace(/^.*(?:libvulkan|BackendVk).*$\n?/gm, '') });
    });
  });
}
