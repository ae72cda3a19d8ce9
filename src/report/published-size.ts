/** The part of a report about a model of the published size with random weights: what 8 bits bring where models are large. */
import { megabytes, threadsInWords } from '../base/format.ts';
import { markup } from '../base/markup.ts';
import { quantile } from '../base/statistics.ts';
import { type Section, tableCard } from './page.ts';

/** A model of the published size, measured. */
export interface PublishedSizeVariant {
  /** FP32, or the name of the recipe. */
  readonly name: string;
  /** The bytes of the file. */
  readonly fileBytes: number;
  /** The peak memory of the process that ran it, in bytes. */
  readonly peakMemoryBytes: number;
  /** The median time of a run in seconds. */
  readonly medianSeconds: number;
  /** The seconds of every run. */
  readonly runSeconds: readonly number[];
}

/** Measurements of a model of the published size with random weights. */
export interface PublishedSize {
  /** The number of parameters. */
  readonly parameters: number;
  /** The height of the picture in pixels. */
  readonly height: number;
  /** The width of the picture in pixels. */
  readonly width: number;
  /** The number of threads. */
  readonly threads: number;
  /** The seed of the weights. */
  readonly seed: number;
  /** FP32 first, then INT8. */
  readonly variants: readonly PublishedSizeVariant[];
}

/** One sentence that says what was measured, and what it says nothing about. */
export const describePublishedSize = ({ parameters, height, width, threads, seed, variants }: PublishedSize): string =>
  `A model of the published size (${Math.round(parameters / 1e6)} million parameters) with random weights of the seed ${seed}, which find nothing: file, memory and time do not depend on the weights. The picture has ${height}x${width} pixels; times are medians of ${variants[0]?.runSeconds.length ?? 0} runs with ${threadsInWords(threads)}, in processes of their own.`;

/** The section; none without measurements. */
export function publishedSizeSections(result: PublishedSize | undefined): Section[] {
  if (!result) return [];
  const [reference] = result.variants;
  const rows = result.variants.map((variant) => {
    const ratio = (part: number, whole: number | undefined) =>
      variant === reference || whole === undefined ? '' : markup`<small>${(whole / part).toFixed(2)}×</small>`;
    const { fileBytes, peakMemoryBytes, medianSeconds, runSeconds } = variant;
    const spread = `${quantile(runSeconds, 0).toFixed(2)} to ${quantile(runSeconds, 1).toFixed(2)} s`;
    return [
      variant.name,
      markup`${megabytes(fileBytes)}${ratio(fileBytes, reference?.fileBytes)}`,
      markup`${megabytes(peakMemoryBytes)}${ratio(peakMemoryBytes, reference?.peakMemoryBytes)}`,
      markup`${medianSeconds.toFixed(2)} s${ratio(medianSeconds, reference?.medianSeconds)}`,
      spread,
    ];
  });
  const table = tableCard({
    caption: `FP32 and INT8 at the published size, ${result.height}x${result.width}`,
    columns: ['Variant', 'File', 'Peak memory', 'Median latency', 'Fastest to slowest run'],
    rows,
  });
  return [
    {
      id: 'published-size',
      title: 'At the published size',
      body: markup`<p>${describePublishedSize(result)}</p>${table}`,
    },
  ];
}
