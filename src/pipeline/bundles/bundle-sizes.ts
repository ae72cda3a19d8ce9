/** The sizes of images that a bundle has engines for. */
import { z } from 'zod';
import { either } from '../../base/check-options.ts';
import { UsageError } from '../../base/errors.ts';
import type { Size } from '../../data/size.ts';
import { type LoadedModel, sizesOf } from '../../models/family.ts';

/** More engines would take days to build. */
const MOST_SIZES = 16;

/** What a size must be, as options have it. */
export const sizeSchema = either(
  'a side, or a height and a width',
  z.number(),
  z.strictObject({ height: z.number(), width: z.number() }),
);

/** The sizes of a bundle, in ascending order of their areas. */
export interface BundleSizes {
  readonly all: readonly Size[];
  /** The middle one: the size of `model.onnx`, and the one for which an engine for all sizes is the fastest. */
  readonly main: Size;
}

/** A size as it is in names of files and engines: `480x640` is 480 pixels high. */
export const sizeName = ({ height, width }: Size): string => `${height}x${width}`;

/**
 * @param asked heights and widths, or sides of squares
 * @param option the name of the option that has them, for messages
 * @throws UsageError if there is none, if one is there twice, or if the model does not take one
 */
export function bundleSizes(
  source: LoadedModel,
  asked: readonly (number | Size)[],
  option: 'sizes' | 'size' = 'sizes',
): BundleSizes {
  if (asked.length === 0) throw new UsageError('A bundle needs a size; name one or more with `sizes`, such as 640.');
  if (asked.length > MOST_SIZES)
    throw new UsageError(`${asked.length} \`sizes\` are more than the ${MOST_SIZES} that one bundle can have.`);
  const sizes = asked.map((each) => (typeof each === 'number' ? { height: each, width: each } : each));
  for (const size of sizes) checkSize(source, size, option);
  const all = sizes.toSorted((a, b) => a.height * a.width - b.height * b.width);
  const twice = all.find((size, index) => all.findIndex((other) => sizeName(other) === sizeName(size)) !== index);
  if (twice) throw new UsageError(`The size ${sizeName(twice)} is twice in \`sizes\`; name it once.`);
  const main = all[Math.floor((all.length - 1) / 2)];
  if (!main) throw new Error('there is at least one size');
  return { all, main };
}

function checkSize(source: LoadedModel, size: Size, option: string): void {
  const { multiple, canvasFor } = sizesOf(source);
  const name = sizeName(size);
  const near = (side: number) => Math.max(multiple, Math.round(side / multiple) * multiple);
  for (const side of [size.height, size.width]) {
    if (!Number.isSafeInteger(side) || side < 1)
      throw new UsageError(`A size in \`${option}\` must be of whole pixels, not ${name}.`);
    if (side % multiple !== 0)
      throw new UsageError(
        `The size ${name} in \`${option}\` is not made of multiples of ${multiple} pixels, which the maps of the model halve evenly; take ${sizeName({ height: near(size.height), width: near(size.width) })}.`,
      );
  }
  const needed = canvasFor(size);
  if (sizeName(needed) !== name) {
    const above = (side: number) => Math.ceil(side / multiple) * multiple;
    throw new UsageError(
      `The size ${name} in \`${option}\` has too few positions for the queries of the model; give at least ${above(needed.height)}x${above(needed.width)}.`,
    );
  }
}
