/**
 * A model for one size of input: what depends only on sizes becomes constant, and what is there for other sizes goes.
 * The model it is made from stays as it is, for any size.
 */
import { UsageError } from '../base/errors.ts';
import { copyModel } from '../onnx/copy.ts';
import { inferShapes } from '../onnx/infer/infer.ts';
import type { Model } from '../onnx/read.ts';
import { removeNoOps } from '../onnx/remove-no-ops.ts';
import { replaceUses } from '../onnx/rewrite.ts';
import { makeTensor } from '../onnx/tensor.ts';
import { DataType, type Dimension, elementCount } from '../onnx/types.ts';
import { makeValueInfo, valueInfoToTensorInfo } from '../onnx/value-info.ts';
import { foldConstants } from '../runtime/fold-constants.ts';

export interface InputSize {
  readonly batch: number;
  /** Pixels of the prepared image. */
  readonly height: number;
  readonly width: number;
  /** Tokens of the prompt; any number if left out. */
  readonly textLength?: number | undefined;
  /** Keep the mask of padded pixels, for batches of images of different sizes. Without it all pixels count. */
  readonly padding?: boolean | undefined;
}

/** Images beyond would need more memory than any machine has. */
const LARGEST_SIDE = 16_384;
/** … and below one patch of the coarsest level there is nothing to see. */
const SMALLEST_SIDE = 32;

/** Pixels of a whole batch: their mask is made once, before it is folded. */
const MOST_PIXELS = 1 << 28;

/** Constants of more bytes are computed at each run: the file would grow, and nothing be faster (docs/performance.md). */
const LARGEST_CONSTANT = 1 << 22;

/** @throws UsageError if a size is not possible */
export async function specialize(model: Model, size: InputSize): Promise<Model> {
  checkSize(size);
  checkFree(model, size);
  const special = copyModel(model);
  setInputShapes(special, size);
  if (!size.padding) assumeNoPadding(special, size);
  // Each constant makes more shapes known, and these more constants.
  let changes = Number.POSITIVE_INFINITY;
  while (changes > 0) {
    changes = storeKnownIntegers(special);
    changes += await foldConstants(special, LARGEST_CONSTANT);
    changes += removeNoOps(special);
  }
  return special;
}

function checkSize({ batch, height, width, textLength }: InputSize): void {
  const limits: [string, number, number, number][] = [
    ['batch', batch, 1, 1024],
    ['height', height, SMALLEST_SIDE, LARGEST_SIDE],
    ['width', width, SMALLEST_SIDE, LARGEST_SIDE],
    ['text length', textLength ?? 3, 3, 4096],
  ];
  for (const [name, value, least, most] of limits)
    if (!Number.isInteger(value) || value < least || value > most)
      throw new UsageError(`A ${name} of ${value} is not possible; give one from ${least} to ${most}.`);
  if (batch * height * width > MOST_PIXELS)
    throw new UsageError(`${batch} images of ${height}x${width} are not possible; give fewer or smaller ones.`);
}

/** A model that is already made for one size cannot become one for another. */
function checkFree({ graph }: Model, { batch, height, width, textLength }: InputSize): void {
  const wanted: Record<string, readonly (number | undefined)[]> = {
    pixel_values: [batch, 3, height, width],
    input_ids: [batch, textLength],
  };
  for (const input of graph.input) {
    const shape = valueInfoToTensorInfo(input)?.shape;
    const isOther = wanted[input.name]?.some((extent, axis) => {
      const fixed = shape?.[axis];
      return typeof fixed === 'number' && extent !== undefined && fixed !== extent;
    });
    if (isOther)
      throw new UsageError(
        `The model is already made for ${input.name} of ${shape?.join('x')}; specialize the model that it was made from.`,
      );
  }
}

/** The names of dimensions are those that `buildModel` gives. */
function setInputShapes({ graph }: Model, { batch, height, width, textLength }: InputSize): void {
  const extents: Record<string, number | undefined> = { batch, height, width, tokens: textLength };
  const known = (extent: Dimension): Dimension => (typeof extent === 'string' ? (extents[extent] ?? extent) : extent);
  graph.input = graph.input.map((input) => {
    const info = valueInfoToTensorInfo(input);
    return info ? makeValueInfo(input.name, info.type, info.shape?.map(known)) : input;
  });
}

function assumeNoPadding({ graph }: Model, { batch, height, width }: InputSize): void {
  const name = 'valid_pixels.all';
  graph.initializer.push(
    makeTensor(name, [batch, height, width], new Uint8Array(batch * height * width).fill(1), DataType.BOOL),
  );
  replaceUses(graph, 'valid_pixels', name);
}

/** Values that shape inference knows become initializers. Answers how many. */
function storeKnownIntegers(model: Model): number {
  const { graph } = model;
  const before = graph.node.length;
  const infos = inferShapes(model);
  const results = new Set(graph.output.map((output) => output.name));
  graph.node = graph.node.filter((node) => {
    const [output = '', ...others] = node.output;
    const info = infos.get(output);
    const values = info?.values;
    if (others.length > 0 || results.has(output) || info?.type !== DataType.INT64) return true;
    if (!values?.every((value) => typeof value === 'number')) return true;
    const shape = info.shape?.filter((extent) => typeof extent === 'number') ?? [];
    if (shape.length !== info.shape?.length || elementCount(shape) !== values.length) return true;
    graph.initializer.push(makeTensor(output, shape, BigInt64Array.from(values, BigInt)));
    return false;
  });
  return before - graph.node.length;
}
