/** The models of a page: optimized once, here, so that a browser loads them without folding constants or fusing nodes. */
import { createHash } from 'node:crypto';
import { mkdtemp, readFile, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { InputError } from '../../base/errors.ts';
import { sizeOf } from '../../base/files.ts';
import { packageVersion } from '../../base/package-root.ts';
import { preprocessingGraph } from '../../data/preprocess.ts';
import type { Half } from '../../models/detection-family.ts';
import { detectionOf } from '../../models/family.ts';
import { readFixedPrompts } from '../../models/fixed-prompt.ts';
import type { ModelPackage } from '../../models/package/package.ts';
import { FILES } from '../../models/package/package-folder.ts';
import { copyModel } from '../../onnx/copy.ts';
import { lowerModel } from '../../onnx/lower/lower.ts';
import { getMetadata } from '../../onnx/metadata.ts';
import type { Model } from '../../onnx/read.ts';
import { modelBytes } from '../../onnx/write.ts';
import { Session } from '../../runtime/session.ts';
import { type Backend, LARGEST_MODEL, type WebFile, type WebFiles, type WebPackage } from '../../web/manifest.ts';

/** The version of the operators of which onnxruntime-web's WebGPU provider has GridSample. */
const WEBGPU_OPSET = 19;

/**
 * A detector in the form in which a browser loads it.
 * @param precision the precision in which the layers compute, in words
 * @param backend what runs the half that detects; all else runs in WebAssembly
 * @throws InputError if a model is too large for a page
 */
export async function webPackage(source: ModelPackage, precision: string, backend: Backend): Promise<WebPackage> {
  const { model, preprocessing, tokenizer } = source;
  const prompts = readFixedPrompts(model);
  const isFixed = prompts.length > 0;
  const detection = detectionOf(source);
  const half = (part: Half) => (isFixed ? model : detection.extractHalf(model, part));
  const files: WebFiles<Uint8Array<ArrayBuffer>> = {
    ...(!isFixed && { text: await optimized(half('text'), source.source) }),
    detect: await (backend === 'webgpu' ? forWebGpu : optimized)(half('detect'), source.source),
    pixels: await optimized(preprocessingGraph(preprocessing), source.source),
  };
  const config = JSON.parse(getMetadata(model, FILES.config[1]) ?? 'null');
  return {
    source: source.source,
    files,
    manifest: {
      dino8: packageVersion(),
      name: model.graph.name,
      backend,
      precision,
      config,
      preprocessing,
      tokenizer,
      ...(isFixed && { prompts }),
      files: {
        ...(files.text && { text: describe('text.onnx', files.text) }),
        detect: describe('detect.onnx', files.detect),
        pixels: describe('pixels.onnx', files.pixels),
      },
    },
  };
}

const describe = (name: string, bytes: Uint8Array): WebFile => ({
  name,
  bytes: bytes.length,
  sha256: createHash('sha256').update(bytes).digest('hex'),
});

/** A float model in standard operators alone: those that ONNX Runtime fuses for processors are not all there for WebGPU. */
function forWebGpu(half: Model, source: string): Promise<Uint8Array<ArrayBuffer>> {
  const model = copyModel(half);
  lowerModel(model, { opset: WEBGPU_OPSET }, source);
  return optimized(model, source, 'basic');
}

/**
 * A model as ONNX Runtime optimizes it for any processor. Functions are inlined, constants are folded, weights of 4 bits are unpacked
 * to 8, and nodes are fused to operators that onnxruntime-web has too.
 */
async function optimized(
  model: Model | Uint8Array,
  source: string,
  // Level `all` would arrange weights for the vectors of this machine's processor.
  optimization: 'basic' | 'extended' = 'extended',
): Promise<Uint8Array<ArrayBuffer>> {
  const folder = await mkdtemp(join(tmpdir(), 'dino8-web-'));
  try {
    const path = join(folder, 'optimized.onnx');
    const bytes = model instanceof Uint8Array ? model : modelBytes(model);
    const session = await Session.create(bytes, { optimization, optimizedModelPath: path }, source);
    await session.close();
    if ((await sizeOf(path)) > LARGEST_MODEL)
      throw new InputError(
        `${source} has more bytes than a page can load; quantize it, or export it for fixed phrases.`,
      );
    return new Uint8Array(await readFile(path));
  } finally {
    await rm(folder, { recursive: true, force: true });
  }
}
