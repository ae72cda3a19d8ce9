/**
 * Runs once before all tests: builds the kernel library if the sources have changed since it was built, so that the
 * tests never see the kernels of other sources.
 */
import { spawnSync } from 'node:child_process';
import { join } from 'node:path';
import { packageRoot } from '../base/package-root.ts';

export default function buildKernels(): void {
  const run = (script: string, stdio: 'ignore' | 'inherit') =>
    spawnSync(process.execPath, [join(packageRoot, 'kernels', script)], { stdio }).status;
  // Only the tests with the kernels need the library, and src/runtime/kernels.test.ts fails where it is missing.
  if (!process.env.DINO8_NO_KERNELS && run('check.mjs', 'ignore') !== 0) run('build.mjs', 'inherit');
}
