/** dino8's own kernels: a shared library of custom operators, built by the machine's compiler where there is one. */
import { existsSync } from 'node:fs';
import { join } from 'node:path';
import koffi from 'koffi';
import { packageRoot } from '../base/package-root.ts';

const EXTENSIONS: Partial<Record<NodeJS.Platform, string>> = { darwin: 'dylib', win32: 'dll' };

/** The library's path; undefined if it was not built: every model then runs by its function bodies. */
export function kernelLibrary(): string | undefined {
  const path = join(packageRoot, 'kernels', 'build', `libdino8_kernels.${EXTENSIONS[process.platform] ?? 'so'}`);
  return existsSync(path) && !process.env.DINO8_NO_KERNELS ? path : undefined;
}

/** The session option that loads the kernels where they were built. */
export function kernelOptions(): { customOperators: string[] } {
  const library = kernelLibrary();
  return { customOperators: library === undefined ? [] : [library] };
}

/** The instruction set that the kernels of `library` use on this machine: "avx512", "avx2", "neon" or "scalar". */
export function kernelCpuPath(library: string): string {
  return koffi.load(library).func('const char *dino8_cpu_path()')();
}
