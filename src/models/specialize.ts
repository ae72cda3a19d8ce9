/**
 * A model with static shapes: everything that depends only on the sizes of inputs becomes constant, and nodes that serve only
 * other sizes are removed. The original model stays as it is, for any size.
 */

import { InputError, UsageError } from '../base/errors.ts';
import type { Size } from '../data/size.ts';
import { checkModelArgument } from '../onnx/check-model.ts';
import { copyModel } from '../onnx/copy.ts';
import { inferShapes } from '../onnx/infer/infer.ts';
import type { Model } from '../onnx/read.ts';
import { removeNoOps } from '../onnx/remove-no-ops.ts';
import { replaceUses } from '../onnx/rewrite.ts';
import { makeTensor } from '../onnx/tensor.ts';
import { DataType, type Dimension, elementCount, type Shape } from '../onnx/types.ts';
import { declarationsWithin, makeValueInfo, valueInfoToTensorInfo } from '../onnx/value-info.ts';
import { foldConstants } from '../runtime/fold-constants.ts';

/** The size of the inputs of an image model with an optional prompt. */
export interface InputSize {
  /** The number of images. */
  readonly batch: number;
  /** Height of the prepared image, in pixels; any if it and the width are left out. */
  readonly height?: number | undefined;
  /** Width of the prepared image, in pixels. */
  readonly width?: number | undefined;
  /** Tokens of the prompt; any number if it is left out. */
  readonly textLength?: number | undefined;
  /** Keeps the mask of padded pixels, for batches of images of different sizes. Without it all pixels count as image. */
  readonly padding?: boolean | undefined;
}

/** The names of the dimensions that an `InputSize` sets. */
export type SizeName = 'batch' | 'height' | 'width' | 'textLength';

/** How the inputs of a family's models depend on an `InputSize`. */
export interface SizeRules {
  /** The symbolic dimension of the graph that each size sets. */
  readonly dimensions: Readonly<Record<SizeName, string>>;
  /** Inputs that have such dimensions, with their shapes in the names of `dimensions`. */
  readonly inputs: Readonly<Record<string, Shape>>;
  /** The boolean value [batch, height, width] that is true where a pixel is of the image, not padding. */
  readonly validPixels: string;
  /** Sides of this multiple in pixels need no padding inside of the network, whose coarsest map of the image has one position for it. */
  readonly multiple: number;
  /** The size itself, or the next larger one that the model can run on. */
  readonly canvasFor: (size: Size) => Size;
}

/** The largest height and width: larger images would need more memory than any machine has. */
export const LARGEST_SIDE = 16_384;
/** The largest number of images of a run. */
export const MOST_IMAGES = 1024;
/** The smallest height and width: one patch of the coarsest feature level. */
const SMALLEST_SIDE = 32;

/** The maximum number of pixels of a whole batch, because their mask is made in full before it is folded. */
const MAX_PIXELS = 1 << 28;

/** Constants of more bytes are computed at each run: the file would grow, and nothing would be faster (docs/performance.md). */
export const LARGEST_CONSTANT: number = 1 << 22;

/**
 * Returns a copy of a model with static shapes for one size of input. Everything that depends on the size alone becomes a
 * constant.
 * @param size the number of images, their height and width in pixels, and the length of the prompt in tokens
 * @param rules how the family's inputs depend on the size
 * @throws UsageError if a size is not possible, or the model is already made for another size
 * @example
 * const fixed = await specialize(source.model, { batch: 1, height: 800, width: 1333 }, sizesOf(source));
 */
export async function specialize(model: Model, size: InputSize, rules: SizeRules): Promise<Model> {
  checkModelArgument(model);
  checkSize(size, rules);
  refuseOtherSize(model, size, rules);
  const special = copyModel(model);
  setDimensions(special, dimensionsOf(size, rules));
  const { batch, height, width } = size;
  if (!size.padding && height !== undefined && width !== undefined)
    assumeNoPadding(special, { batch, height, width }, rules.validPixels);
  return fold(special);
}

/**
 * A copy of a model whose inputs have the given shapes, for any family.
 *
 * @param shapes of inputs, by name; inputs that are not named stay as they are
 * @throws InputError if a shape contradicts what the model states of its input
 */
export async function withInputShapes(model: Model, shapes: ReadonlyMap<string, readonly number[]>): Promise<Model> {
  const special = copyModel(model);
  const sizes = new Map<string, number>();
  for (const input of special.graph.input) {
    const info = valueInfoToTensorInfo(input);
    const wanted = shapes.get(input.name);
    if (!info || !wanted) continue;
    const fits =
      info.shape === undefined ||
      (info.shape.length === wanted.length &&
        info.shape.every((stated, axis) => typeof stated !== 'number' || stated === wanted[axis]));
    if (!fits)
      throw new InputError(
        `The input ${input.name} of the model is ${info.shape?.join('x')}, which ${wanted.join('x')} does not fit.`,
      );
    for (const [axis, stated] of (info.shape ?? []).entries())
      if (typeof stated === 'string') sizes.set(stated, wanted[axis] ?? 0);
  }
  special.graph.input = special.graph.input.map((input) => {
    const info = valueInfoToTensorInfo(input);
    const wanted = shapes.get(input.name);
    return info && wanted ? makeValueInfo(input.name, info.type, wanted) : input;
  });
  setDimensions(special, sizes);
  return fold(special);
}

/** Folds constants in place. Each constant makes more shapes known, which makes more constants. */
async function fold(special: Model): Promise<Model> {
  let changes = Number.POSITIVE_INFINITY;
  while (changes > 0) {
    changes = storeKnownIntegers(special);
    changes += await foldConstants(special, LARGEST_CONSTANT);
    changes += removeNoOps(special);
  }
  declareKnownSizes(special);
  return special;
}

/** Puts the numbers that inference knows into the declared shapes, and drops those of values that no node computes any more. */
function declareKnownSizes(special: Model): void {
  const { graph } = special;
  if (graph.valueInfo.length === 0) return;
  const infos = inferShapes(special);
  graph.valueInfo = declarationsWithin(graph, graph.valueInfo).map((value) => {
    const info = valueInfoToTensorInfo(value);
    const known = infos.get(value.name)?.shape ?? [];
    const sizes = info?.shape?.map((size, axis) => (typeof known[axis] === 'number' ? known[axis] : size));
    return info ? makeValueInfo(value.name, info.type, sizes) : value;
  });
}

function checkSize(size: InputSize, { canvasFor }: SizeRules): void {
  const { batch, textLength } = size;
  if ((size.height === undefined) !== (size.width === undefined))
    throw new UsageError('A size has a `height` and a `width`; name both or neither.');
  const { height = SMALLEST_SIDE, width = SMALLEST_SIDE } = size;
  const limits: [string, number, number, number][] = [
    ['batch', batch, 1, MOST_IMAGES],
    ['height', height, SMALLEST_SIDE, LARGEST_SIDE],
    ['width', width, SMALLEST_SIDE, LARGEST_SIDE],
    ['text length', textLength ?? 3, 3, 4096],
  ];
  for (const [name, value, minimum, maximum] of limits)
    if (!Number.isInteger(value) || value < minimum || value > maximum)
      throw new UsageError(`A ${name} of ${value} is not possible; give one from ${minimum} to ${maximum}.`);
  if (batch * height * width > MAX_PIXELS)
    throw new UsageError(`${batch} images of ${height}x${width} are not possible; give fewer or smaller ones.`);
  if (size.height === undefined) return;
  const needed = canvasFor({ height, width });
  if (needed.height !== height || needed.width !== width)
    throw new UsageError(
      `Images of ${height}x${width} have too few positions for the queries of the model; give at least ${needed.height}x${needed.width}.`,
    );
}

/** The numbers of the symbolic dimensions that a size sets. */
function dimensionsOf(size: InputSize, { dimensions }: SizeRules): Map<string, number> {
  const sizes = new Map<string, number>();
  for (const [name, dimension] of Object.entries(dimensions) as [SizeName, string][]) {
    // The keys of a record of sizes are sizes, which `Object.entries` does not tell.
    const value = size[name];
    if (value !== undefined) sizes.set(dimension, value);
  }
  return sizes;
}

/** The height and the width of images that a model is made for; undefined if it takes any. */
export function ownSize({ graph }: Model, { dimensions, inputs }: SizeRules): Size | undefined {
  for (const input of graph.input) {
    const shape = valueInfoToTensorInfo(input)?.shape;
    const sideOf = (name: 'height' | 'width') => shape?.[inputs[input.name]?.indexOf(dimensions[name]) ?? -1];
    const [height, width] = [sideOf('height'), sideOf('width')];
    if (typeof height === 'number' && typeof width === 'number') return { height, width };
  }
  return undefined;
}

/**
 * A model that is already made for one size cannot become one for another.
 * @throws UsageError if it is made for another size than this one
 */
export function refuseOtherSize({ graph }: Model, size: InputSize, rules: SizeRules): void {
  const { inputs } = rules;
  const sizes = dimensionsOf(size, rules);
  for (const input of graph.input) {
    const shape = valueInfoToTensorInfo(input)?.shape;
    const isOther = inputs[input.name]?.some((dimension, axis) => {
      const fixed = shape?.[axis];
      const wanted = typeof dimension === 'string' ? sizes.get(dimension) : dimension;
      return typeof fixed === 'number' && wanted !== undefined && fixed !== wanted;
    });
    if (isOther)
      throw new UsageError(
        `The model is already made for ${input.name} of ${shape?.join('x')}; specialize the model that it was made from.`,
      );
  }
}

/** Replaces symbolic dimensions of the inputs by numbers. */
function setDimensions({ graph }: Model, sizes: ReadonlyMap<string, number>): void {
  const known = (dimension: Dimension): Dimension =>
    typeof dimension === 'string' ? (sizes.get(dimension) ?? dimension) : dimension;
  graph.input = graph.input.map((input) => {
    const info = valueInfoToTensorInfo(input);
    return info ? makeValueInfo(input.name, info.type, info.shape?.map(known)) : input;
  });
}

function assumeNoPadding(
  { graph }: Model,
  { batch, height, width }: Size & { batch: number },
  validPixels: string,
): void {
  const name = `${validPixels}.all`;
  graph.initializer.push(
    makeTensor(name, [batch, height, width], new Uint8Array(batch * height * width).fill(1), DataType.BOOL),
  );
  replaceUses(graph, validPixels, name);
  // In a model for fixed phrases the mask is an input.
  graph.input = graph.input.filter((input) => input.name !== validPixels);
}

/** Turns values that shape inference knows into initializers, and returns how many there were. */
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
    const shape = info.shape?.filter((dimension) => typeof dimension === 'number') ?? [];
    if (shape.length !== info.shape?.length || elementCount(shape) !== values.length) return true;
    graph.initializer.push(makeTensor(output, shape, BigInt64Array.from(values, BigInt)));
    return false;
  });
  return before - graph.node.length;
}
