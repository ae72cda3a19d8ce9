/** dino8's own kernels: a shared library of custom operators, built by the machine's compiler where there is one. */
import { existsSync } from 'node:fs';
import { join } from 'node:path';
import { packageRoot } from '../base/package-root.ts';

const EXTENSIONS: Partial<Record<NodeJS.Platform, string>> = { darwin: 'dylib', win32: 'dll' };

/** The library's path; undefined if it was not built: every model then runs by its function bodies. */
export function kernelLibrary(): string | undefined {
  const path = join(packageRoot, 'kernels', 'build', `libdino8_kernels.${EXTENSIONS[process.platform] ?? 'so'}`);
  return existsSync(path) && !process.env.DINO8_NO_KERNELS ? path : undefined;
}
