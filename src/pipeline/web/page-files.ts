/** The files of a page that are the same for every model: its sources, dino8 for browsers, and onnxruntime-web where that runs the model. */
import { readdir, readFile } from 'node:fs/promises';
import { createRequire } from 'node:module';
import { dirname, join } from 'node:path';
import { exists, readText } from '../../base/files.ts';
import { packageRoot } from '../../base/package-root.ts';
import type { Content } from '../../base/write-folder.ts';
import { RuntimeError } from '../../runtime/error.ts';
import type { Backend } from '../../web/manifest.ts';
import type { OnnxRuntimeWeb } from '../../web/onnx-runtime.ts';
import { contentSecurityPolicy, serverFiles } from './server-files.ts';

const SOURCES = join(packageRoot, 'bundles', 'web');
const README = 'README.md';
/** dino8 for browsers in one file, as the build writes it. */
const LIBRARY = join(packageRoot, 'dist', 'web-page.mjs');

/** The version of onnxruntime-web that pages are made and tested with: that of onnxruntime-node. */
const RUNTIME_VERSION = '1.30.0';
const INSTALL = `npm install onnxruntime-web@${RUNTIME_VERSION}`;

/** The files of onnxruntime-web that a page needs: the library, and WebAssembly with its loader. */
const RUNTIME_FILES: Readonly<Record<Backend, readonly [library: string, loader: string, binary: string]>> = {
  wasm: ['ort.wasm.min.mjs', 'ort-wasm-simd-threaded.mjs', 'ort-wasm-simd-threaded.wasm'],
  webgpu: ['ort.webgpu.min.mjs', 'ort-wasm-simd-threaded.asyncify.mjs', 'ort-wasm-simd-threaded.asyncify.wasm'],
};

/** Their names in a page. Some servers do not know that .mjs is JavaScript. */
const RUNTIME_NAMES = ['ort.js', 'ort-wasm.js', 'ort-wasm.wasm'] as const;

/** onnxruntime-web as it is installed beside dino8. */
export interface InstalledRuntime {
  /** The folder of its files. */
  readonly folder: string;
  /** Its version. */
  readonly version: string;
  /** The library, for a check of the models before they are written. */
  readonly library: OnnxRuntimeWeb;
}

/** @throws RuntimeError if onnxruntime-web is not installed, or is another version than pages are made for */
export async function installedRuntime(): Promise<InstalledRuntime> {
  let folder: string;
  let library: OnnxRuntimeWeb;
  try {
    folder = dirname(createRequire(import.meta.url).resolve('onnxruntime-web/ort-wasm-simd-threaded.wasm'));
    library = await import('onnxruntime-web');
  } catch {
    throw new RuntimeError(
      `onnxruntime-web is not installed, which runs the model in the page; install it beside dino8 with \`${INSTALL}\`.`,
    );
  }
  const version = String(library.env.versions.web);
  if (version !== RUNTIME_VERSION)
    throw new RuntimeError(
      `onnxruntime-web ${version} is installed, and pages are made for ${RUNTIME_VERSION}; install that with \`${INSTALL}\`.`,
    );
  return { folder, version, library };
}

/**
 * The files of a page by their paths in its folder, but for those of the model.
 * @param runtime onnxruntime-web, if it runs the model
 */
export async function pageFiles(
  runtime: InstalledRuntime | undefined,
  backend: Backend,
): Promise<Map<string, Content>> {
  if (!(await exists(LIBRARY)))
    throw new RuntimeError('dino8 for browsers is not built; run `npm run build` in the folder of dino8.');
  const files = new Map<string, Content>();
  for (const name of (await readdir(SOURCES)).filter((each) => each !== README).toSorted())
    files.set(name, (await readText(join(SOURCES, name))).replaceAll('{{policy}}', contentSecurityPolicy));
  files.set('dino8.js', await readText(LIBRARY));
  if (runtime)
    for (const [index, name] of RUNTIME_NAMES.entries())
      files.set(`onnxruntime/${name}`, [await readFile(join(runtime.folder, RUNTIME_FILES[backend][index] ?? ''))]);
  for (const [name, content] of serverFiles()) files.set(name, content);
  return files;
}
