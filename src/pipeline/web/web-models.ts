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
import type { BlockBits } from '../../quant/block-weights/block-weight.ts';
import { storeBlockWeights } from '../../quant/block-weights/store-block-weights.ts';
import { storeHalf } from '../../quant/half/store-half.ts';
import { Session } from '../../runtime/session.ts';
import {
  type Backend,
  type FloatBits,
  LARGEST_MODEL,
  type WebFile,
  type WebFiles,
  type WebPackage,
} from '../../web/manifest.ts';
import { ENGINE_FILES, type EngineFiles } from './engine-files.ts';
import { repeatForEachPoint } from './repeat-for-each-point.ts';
import { unpackWeights } from './unpack-weights.ts';

/** The version of the operators of which onnxruntime-web's WebGPU provider has GridSample. */
const WEBGPU_OPSET = 19;

/** The form of the models of a page. */
export interface WebForm {
  /** What runs the half that detects; all else runs in WebAssembly. */
  readonly backend: Backend;
  /** The bits in which weights are stored; undefined if they stay as they are. */
  readonly weights: BlockBits | undefined;
  /** The floats in which the half that detects computes. */
  readonly floats: FloatBits;
  /** The precision in which the layers compute, in words. */
  readonly precision: string;
  /** The engine that runs the models; undefined if onnxruntime-web does. */
  readonly engine: EngineFiles | undefined;
}

/**
 * A detector in the form in which a browser loads it.
 * @throws InputError if a model is too large for a page
 */
export async function webPackage(source: ModelPackage, form: WebForm): Promise<WebPackage> {
  const { model, preprocessing, tokenizer } = source;
  const prompts = readFixedPrompts(model);
  const isFixed = prompts.length > 0;
  const { backend, floats, precision, engine } = form;
  const detection = detectionOf(source);
  const half = (part: Half) => (isFixed ? model : detection.extractHalf(model, part));
  const pixelsGraph = preprocessingGraph(preprocessing);
  const files: WebFiles<Uint8Array<ArrayBuffer>> = {
    ...(!isFixed && { text: await textHalf(half('text'), source, form) }),
    detect: await detectHalf(half('detect'), source, form),
    pixels: engine ? new Uint8Array(pixelsGraph) : await optimized(pixelsGraph, source.source),
  };
  const config = JSON.parse(getMetadata(model, FILES.config[1]) ?? 'null');
  return {
    source: source.source,
    files,
    manifest: {
      dino8: packageVersion(),
      name: model.graph.name,
      backend,
      floats,
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
      ...(engine && {
        engine: {
          relaxed: describe(ENGINE_FILES.relaxed, engine.relaxed),
          simd: describe(ENGINE_FILES.simd, engine.simd),
        },
      }),
    },
  };
}

const describe = (name: string, bytes: Uint8Array): WebFile => ({
  name,
  bytes: bytes.length,
  sha256: createHash('sha256').update(bytes).digest('hex'),
});

/** The half that encodes prompts, which runs in WebAssembly. */
async function textHalf(
  half: Model,
  source: ModelPackage,
  { weights, engine }: WebForm,
): Promise<Uint8Array<ArrayBuffer>> {
  if (engine) return forEngine(half, source.source);
  if (weights === undefined) return optimized(half, source.source);
  const model = copyModel(half);
  await storeWeights(model, source, weights);
  return optimized(model, source.source);
}

function detectHalf(half: Model, source: ModelPackage, form: WebForm): Promise<Uint8Array<ArrayBuffer>> {
  if (form.engine) return forEngine(half, source.source);
  return form.backend === 'webgpu' ? forWebGpu(half, source, form) : forOnnxRuntime(half, source.source);
}

/** A half for the engine, which has dino8's operators and computes what depends on constants alone when it loads the model. */
async function forEngine(half: Model, source: string): Promise<Uint8Array<ArrayBuffer>> {
  const model = copyModel(half);
  await unpackWeights(model);
  const bytes = modelBytes(model);
  checkSize(bytes.length, source);
  return new Uint8Array(bytes);
}

/** The half that detects, in the operators that onnxruntime-web computes fastest in WebAssembly. */
async function forOnnxRuntime(half: Model, source: string): Promise<Uint8Array<ArrayBuffer>> {
  const model = copyModel(half);
  repeatForEachPoint(model);
  return optimized(model, source);
}

/**
 * The half that detects, from a float model, in operators that WebGPU has: those of the standard, but for the products with weights of 8
 * or 4 bits. What ONNX Runtime fuses for processors is not all there.
 */
async function forWebGpu(
  half: Model,
  source: ModelPackage,
  { weights, floats }: WebForm,
): Promise<Uint8Array<ArrayBuffer>> {
  const model = copyModel(half);
  lowerModel(model, { opset: WEBGPU_OPSET }, source.source);
  if (weights !== undefined) await storeWeights(model, source, weights);
  if (floats === 32) return optimized(model, source.source, 'basic');
  await storeHalf(model, { single: source.family.singlePrecision ?? [] }, source.source);
  // ONNX Runtime would write the conversions to 32 bits into the file that this machine's processor needs.
  const bytes = modelBytes(model);
  checkSize(bytes.length, source.source);
  return bytes;
}

async function storeWeights(model: Model, { family }: ModelPackage, bits: BlockBits): Promise<void> {
  await storeBlockWeights(model, { bits, eightBits: family.eightBitWeights ?? [] });
}

/** @throws InputError if a model is too large for a page */
function checkSize(bytes: number, source: string): void {
  if (bytes > LARGEST_MODEL)
    throw new InputError(`${source} has more bytes than a page can load; quantize it, or export it for fixed phrases.`);
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
    checkSize(await sizeOf(path), source);
    return new Uint8Array(await readFile(path));
  } finally {
    await rm(folder, { recursive: true, force: true });
  }
}
