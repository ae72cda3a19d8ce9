/** The step that writes the report of a comparison of precisions. */
import { basename } from 'node:path';
import { type OptionSchemas, objectWith, text } from '../base/check-options.ts';
import { readBytes, writeAtomic } from '../base/files.ts';
import { encodeImage } from '../data/encode-image.ts';
import { type FileKind, fileKind } from '../data/file-kind.ts';
import { decodeImage } from '../data/image.ts';
import { maxPixelsSchema, type PixelLimitOptions } from '../data/pixel-limit.ts';
import type { ShownImage } from '../report/variants-page.ts';
import type { CompressedImage, CompressResult } from './compress-options.ts';
import { overwriteSchemas } from './option-schemas.ts';
import { runStep } from './run-step.ts';
import { checkStepFiles, type OverwriteOptions } from './step-files.ts';

/** Options of `report`. */
export interface ReportOptions extends PixelLimitOptions, OverwriteOptions {
  /** The result of `compress`. The images that it names are read again. */
  readonly results: CompressResult;
  /** The HTML file to write. */
  readonly output: string;
}

const schemas: OptionSchemas<ReportOptions> = {
  ...overwriteSchemas,
  results: objectWith('the result of `compress`', 'variants', 'images', 'inspected'),
  output: text,
  maxPixels: maxPixelsSchema,
};

/**
 * Writes the results of `compress` as one HTML file with tables, charts and images.
 *
 * @throws UsageError or InputError if an image cannot be read any more, or the file cannot be written
 * @example
 * const results = await compress({ checkpoint: 'grounding-dino-tiny/', dataset: 'photos/', output: 'compressed/' });
 * await report({ results, output: 'report.html' });
 */
export async function report(options: ReportOptions): Promise<void> {
  return runStep('report', schemas, options, () => writeReport(options));
}

async function writeReport({ results, output, overwrite }: ReportOptions): Promise<void> {
  await checkStepFiles({ outputs: [output], data: results.images.map(({ path }) => path), overwrite });
  const images = await Promise.all(results.images.map(shownImage));
  // A page is loaded when it is written: its charts need libraries of 30 MB.
  const { renderReport } = await import('../report/variants-page.ts');
  await writeAtomic(output, renderReport({ ...results, images }));
}

/** The kinds of pictures that browsers show. The others are converted. */
const SHOWN = new Set<FileKind | undefined>(['jpeg', 'png', 'webp', 'gif', 'avif', 'bmp']);

async function shownImage({ path, detections }: CompressedImage): Promise<ShownImage> {
  const bytes = await readBytes(path);
  const image = await decodeImage(bytes, path);
  const kind = fileKind(bytes);
  const [shown, type] = SHOWN.has(kind) ? [bytes, kind] : [await encodeImage(image, 'png'), 'png'];
  const { width, height } = image;
  return { name: basename(path), width, height, bytes: shown, mediaType: `image/${type}`, detections };
}
