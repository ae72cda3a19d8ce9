/** Where dino8's engine was not built, pages of quantized models run by onnxruntime-web, and the caller is told. */
import { existsSync, mkdtempSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, expect, test, vi } from 'vitest';
import { packageRoot } from '../../base/package-root.ts';
import { type ModelPackage, readPackage } from '../../models/package/package.ts';
import { copyModel } from '../../onnx/copy.ts';
import { setMetadata } from '../../onnx/metadata.ts';
import { RuntimeError } from '../../runtime/error.ts';
import { exportWeb } from './export-web.ts';

vi.mock('./engine-files.ts', async (original) => ({ ...(await original()), engineFiles: async () => undefined }));

const isBuilt = existsSync(join(packageRoot, 'dist/web-page.mjs'));
const folder = mkdtempSync(join(tmpdir(), 'dino8-export-web-'));
afterAll(() => rmSync(folder, { recursive: true }));

/** The bundled model, which says that it is quantized. */
let source: ModelPackage;
beforeAll(async () => {
  const nano = await readPackage(join(packageRoot, 'assets/nano'));
  const model = copyModel(nano.model);
  const layers = { float: 1, dynamic: 0, static: 0, 'weight-only': 0, activations: {} };
  const summary = { recipe: 'dynamic', target: 'ort-cpu', layers, techniques: [], floatLayers: [] };
  setMetadata(model, 'dino8.quantization', JSON.stringify(summary));
  source = { ...nano, model };
});

test.skipIf(!isBuilt)(
  'a page of a quantized model runs by onnxruntime-web then (it needs `npm run build`)',
  async () => {
    const notices: string[] = [];
    const output = join(folder, 'site');
    const page = await exportWeb({ model: source, output, onNotice: (sentence) => notices.push(sentence) });
    expect(page.runtime).toMatch(/^onnxruntime-web 1\./);
    expect(notices.join()).toMatch(
      /engine for WebAssembly was not built, so the page runs the model by onnxruntime-web/,
    );
    expect(JSON.parse(readFileSync(join(output, 'model/model.json'), 'utf8'))).not.toHaveProperty('engine');
    expect(existsSync(join(output, 'onnxruntime/ort.js'))).toBe(true);
  },
);

test('the engine cannot be asked for then', async () => {
  const output = join(folder, 'none');
  const refused = exportWeb({ model: source, output, runtime: 'dino8' });
  await expect(refused).rejects.toThrow(/was not built; install clang with its files for WebAssembly/);
  await expect(refused).rejects.toThrow(RuntimeError);
  expect(existsSync(output)).toBe(false);
});
