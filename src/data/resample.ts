/**
 * Resizes pictures exactly as Pillow 13 does, for each of its filters, so that a model sees the pixels that it was trained
 * on. The two directions are separate passes with 8-bit results between them; weights are whole multiples of 2^-22. ONNX
 * Runtime's `Resize` has two of the six filters and differs by up to nine levels where one side shrinks and the other grows; no
 * image library for JavaScript has these numbers, hence loops over pixels here.
 * The definition of the filters: https://pillow.readthedocs.io/en/stable/handbook/concepts.html#filters
 */
import type { Image } from './rgb-image.ts';
import type { Size } from './size.ts';

/** Pillow's filters, by the numbers that preprocessor_config.json has for them. */
export const RESAMPLING_FILTERS = {
  /** The pixel at the place. */
  0: 'nearest',
  /** A sinc function windowed by a wider one, over three pixels to each side. */
  1: 'lanczos',
  /** A triangle, over one pixel to each side. */
  2: 'bilinear',
  /** The cubic function of Keys with a = −1/2, over two pixels to each side. */
  3: 'bicubic',
  /** The mean of the pixels that a pixel of the result covers. */
  4: 'box',
  /** A sinc function in Hamming's window, over one pixel to each side. */
  5: 'hamming',
} as const;

/** The number of a filter of Pillow. */
export type Resampling = keyof typeof RESAMPLING_FILTERS;

/** A filter that weights the pixels around a place. */
interface Filter {
  /** The distance from the place, in pixels of the smaller picture, beyond which weights are 0. */
  readonly support: number;
  /** The weight of a pixel at a distance. */
  readonly weight: (distance: number) => number;
}

const sinc = (x: number): number => (x === 0 ? 1 : Math.sin(x * Math.PI) / (x * Math.PI));

/** Pillow has the constants of this window as 32-bit numbers. */
const [HAMMING_MEAN, HAMMING_WAVE] = [Math.fround(0.54), Math.fround(0.46)];

/** The bicubic filter of Keys with a = −1/2. */
function bicubic(distance: number): number {
  const x = Math.abs(distance);
  if (x < 1) return (1.5 * x - 2.5) * x * x + 1;
  return x < 2 ? -0.5 * (((x - 5) * x + 8) * x - 4) : 0;
}

const FILTERS: Readonly<Record<Exclude<Resampling, 0>, Filter>> = {
  1: { support: 3, weight: (x) => (x >= -3 && x < 3 ? sinc(x) * sinc(x / 3) : 0) },
  2: { support: 1, weight: (x) => Math.max(0, 1 - Math.abs(x)) },
  3: { support: 2, weight: bicubic },
  4: { support: 0.5, weight: (x) => (x > -0.5 && x <= 0.5 ? 1 : 0) },
  5: {
    support: 1,
    weight: (x) => (Math.abs(x) < 1 ? sinc(x) * (HAMMING_MEAN + HAMMING_WAVE * Math.cos(x * Math.PI)) : 0),
  },
};

/** The picture with sides of at most `longest` pixels: the picture itself, or a smaller one by a triangle filter. */
export function shrinkTo(image: Image, longest: number): Image {
  const scale = longest / Math.max(image.width, image.height);
  if (scale >= 1) return image;
  const side = (length: number) => Math.max(1, Math.round(length * scale));
  return resample(image, { height: side(image.height), width: side(image.width) }, 2);
}

/**
 * Resizes a picture to a size; the filter is widened where the picture becomes smaller.
 * @param filter the number of the filter in Pillow
 */
export function resample(image: Image, size: Size, filter: Resampling): Image {
  if (image.height === size.height && image.width === size.width) return image;
  if (filter === 0) return nearest(image, size);
  const horizontally = (from: Image) => resampleRows(from, size.width, FILTERS[filter]);
  const vertically = (from: Image) => resampleColumns(from, size.height, FILTERS[filter]);
  // Pillow 13 begins with the rows where that removes much more of the picture; the order shows in the last bit.
  const isVerticalFirst = image.height > size.height && image.height - size.height > 2 * (image.width - size.width);
  return isVerticalFirst ? horizontally(vertically(image)) : vertically(horizontally(image));
}

/** Weights are stored as whole numbers of this part. */
const WEIGHT_BITS = 22;
const HALF = 1 << (WEIGHT_BITS - 1);

/** The pixels along one side that make up a pixel of the result. */
interface Taps {
  readonly first: number;
  /** Their weights, in units of 2^-22. */
  readonly weights: Int32Array;
}

function tapsOf(before: number, after: number, { support, weight }: Filter): Taps[] {
  const scale = before / after;
  const widening = Math.max(1, scale);
  const reach = support * widening;
  return Array.from({ length: after }, (_, place) => {
    const center = (place + 0.5) * scale;
    const first = Math.max(0, Math.trunc(center - reach + 0.5));
    const end = Math.min(before, Math.trunc(center + reach + 0.5));
    const exact = Array.from({ length: end - first }, (_, at) => weight((at + first - center + 0.5) * (1 / widening)));
    const sum = exact.reduce((total, each) => total + each, 0);
    return {
      first,
      weights: Int32Array.from(exact, (each) => awayFromZero((sum === 0 ? each : each * (1 / sum)) * 2 ** WEIGHT_BITS)),
    };
  });
}

/** Rounds to whole numbers, halves away from zero. */
const awayFromZero = (value: number): number => Math.trunc(value < 0 ? value - 0.5 : value + 0.5);

function resampleRows(image: Image, width: number, filter: Filter): Image {
  if (image.width === width) return image;
  const { height, pixels } = image;
  const taps = tapsOf(image.width, width, filter);
  const result = new Uint8ClampedArray(height * width * 3);
  for (let row = 0, to = 0; row < height; row++)
    for (const { first, weights } of taps) {
      let from = (row * image.width + first) * 3;
      let [red, green, blue] = [HALF, HALF, HALF];
      for (const weight of weights) {
        red += (pixels[from] as number) * weight; // taps lie within the row
        green += (pixels[from + 1] as number) * weight;
        blue += (pixels[from + 2] as number) * weight;
        from += 3;
      }
      result[to++] = red >> WEIGHT_BITS;
      result[to++] = green >> WEIGHT_BITS;
      result[to++] = blue >> WEIGHT_BITS;
    }
  return { height, width, pixels: asBytes(result) };
}

function resampleColumns(image: Image, height: number, filter: Filter): Image {
  if (image.height === height) return image;
  const { width, pixels } = image;
  const length = width * 3;
  const result = new Uint8ClampedArray(height * length);
  const sums = new Int32Array(length);
  for (const [row, { first, weights }] of tapsOf(image.height, height, filter).entries()) {
    sums.fill(HALF);
    for (const [index, weight] of weights.entries()) {
      const from = (first + index) * length;
      for (let at = 0; at < length; at++) sums[at] = (sums[at] as number) + (pixels[from + at] as number) * weight;
    }
    for (let at = 0; at < length; at++) result[row * length + at] = (sums[at] as number) >> WEIGHT_BITS;
  }
  return { height, width, pixels: asBytes(result) };
}

/** Takes for each pixel the one at its place. Places are sums of steps, as Pillow computes them, because rounding shows. */
function nearest(image: Image, { height, width }: Size): Image {
  const placesOf = (before: number, after: number): number[] => {
    const step = before / after;
    let place = step * 0.5;
    return Array.from({ length: after }, () => {
      const found = Math.min(before - 1, Math.trunc(place));
      place += step;
      return found;
    });
  };
  const columns = placesOf(image.width, width);
  const pixels = new Uint8Array(height * width * 3);
  let to = 0;
  for (const row of placesOf(image.height, height))
    for (const column of columns) {
      const from = (row * image.width + column) * 3;
      pixels.set(image.pixels.subarray(from, from + 3), to);
      to += 3;
    }
  return { height, width, pixels };
}

const asBytes = ({ buffer, byteOffset, byteLength }: Uint8ClampedArray): Uint8Array =>
  new Uint8Array(buffer, byteOffset, byteLength);
