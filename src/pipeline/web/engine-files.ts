/** dino8's engine for WebAssembly, which runs quantized models in a page, as kernels/build-engine.mjs made it. */
import { readFile } from 'node:fs/promises';
import { join } from 'node:path';
import { exists, readText } from '../../base/files.ts';
import { packageRoot } from '../../base/package-root.ts';
import type { EngineVariant } from '../../web/engine/engine-module.ts';

/** The bytes of each form of the engine. */
export type EngineFiles = Readonly<Record<EngineVariant, Uint8Array<ArrayBuffer>>>;

const fileOf = (name: string) => join(packageRoot, 'kernels', 'build', name);

/** The files of the build, and their names in a page. */
export const ENGINE_FILES: Readonly<Record<EngineVariant, string>> = {
  relaxed: 'dino8-engine-relaxed.wasm',
  simd: 'dino8-engine.wasm',
};

/** The engine; undefined where it was not built. */
export async function engineFiles(): Promise<EngineFiles | undefined> {
  const read = async (variant: EngineVariant) => new Uint8Array(await readFile(fileOf(ENGINE_FILES[variant])));
  for (const name of Object.values(ENGINE_FILES)) if (!(await exists(fileOf(name)))) return undefined;
  return { relaxed: await read('relaxed'), simd: await read('simd') };
}

/** The effect where there is no engine. */
const WITHOUT_ENGINE = 'pages run quantized models by onnxruntime-web, which takes longer';

/** What to do where there is no engine. */
export const HOW_TO_BUILD =
  'install clang with its files for WebAssembly and run `npm run build` in the folder of dino8';

/** Says whether the engine was built, and if not, why. The text has the compiler's message if the build failed. */
export async function engineReport(): Promise<string> {
  if (await engineFiles()) return 'built';
  const error = fileOf('engine-error.txt');
  if (!(await exists(error))) return `not built: ${WITHOUT_ENGINE}; ${HOW_TO_BUILD}`;
  return `not built: ${WITHOUT_ENGINE}. The build said:\n${(await readText(error)).trim()}`;
}
