/** The step that writes the report that decides: which variant of a model to ship, and what it costs. */
import { z } from 'zod';
import { type OptionSchemas, objectWith, optional, text } from '../base/check-options.ts';
import { writeAtomic } from '../base/files.ts';
import { maxPixelsSchema, type PixelLimitOptions } from '../data/pixel-limit.ts';
import { renderCsv, renderMarkdown } from '../report/report-text.ts';
import type { ReportedVariant } from '../report/variants.ts';
import { decide, type Verdict } from '../report/verdict.ts';
import { allowedDropSchema, optionalPath, overwriteSchemas } from './option-schemas.ts';
import { assembleReport } from './report-assembly.ts';
import { reportImages } from './report-images.ts';
import { openResults, type ResultSource } from './report-sources.ts';
import { runStep } from './run-step.ts';
import { checkStepFiles, type OverwriteOptions } from './step-files.ts';

/** Options of `report`. */
export interface ReportOptions extends PixelLimitOptions, OverwriteOptions {
  /**
   * The results, by their paths or as the steps returned them: one of `compress`, or those of `evaluate`, `score`,
   * `explainErrors`, `bench`, `measure`, `sensitivity`, `tune`, `contribution` and `vocabulary` of one model on one data set. The
   * pictures that they name are read again.
   */
  readonly results: ResultSource | readonly ResultSource[];
  /** The HTML file to write; none by default. */
  readonly output?: string | undefined;
  /** The title; that of the results by default. */
  readonly title?: string | undefined;
  /** The points of AP that a variant may lose; by default what `compress` was told, or 0.5. */
  readonly allowedDrop?: number | undefined;
}

const source = z.union([text, objectWith('a result of a step')]);

const schemas: OptionSchemas<ReportOptions> = {
  ...overwriteSchemas,
  results: z.union([source, z.array(source).min(1)], { error: 'the path of a result, a result, or a list of them' }),
  output: optionalPath,
  title: optional(text),
  allowedDrop: allowedDropSchema,
  maxPixels: maxPixelsSchema,
};

/** The result of `report`. */
export interface ReportResult extends Verdict {
  /** The title of the report. */
  readonly title: string;
  /** The variants with what was measured of each; the first one is the reference. */
  readonly variants: readonly ReportedVariant[];
  /** The names of the files that the report was made of. */
  readonly sources: readonly string[];
  /** Sentences about pictures that could not be shown. */
  readonly missingImages: readonly string[];
  /** The report as Markdown: the answer, and a table of the variants. */
  readonly markdown: string;
  /** The table of the variants as CSV (RFC 4180), with a line for each variant. */
  readonly csv: string;
}

/**
 * Decides which variant of a model to ship, and writes the report that says why as one HTML file without links to anything else.
 *
 * @throws UsageError if results are of different data sets or models, if two of them have the same figures of a variant, or if a
 * file does not exist; InputError if a file is no result
 * @example
 * await compress({ checkpoint: 'grounding-dino-tiny/', dataset: 'photos/', output: 'compressed/' });
 * const { answer } = await report({ results: 'compressed/results.json', output: 'report.html', allowedDrop: 1 });
 * console.log(answer); // Ship fast: 3.9× smaller, 3.4× faster (3.3 to 3.5), AP unchanged within chance (−0.30 to +0.20).
 */
export async function report(options: ReportOptions): Promise<ReportResult> {
  return runStep('report', schemas, options, () => writeReport(options));
}

async function writeReport({ results, output, title, allowedDrop, overwrite }: ReportOptions): Promise<ReportResult> {
  const list: readonly ResultSource[] = isList(results) ? results : [results];
  const paths = list.filter((each) => typeof each === 'string');
  await checkStepFiles({ outputs: [output], data: paths, overwrite });
  const { content, pictures } = assembleReport(await openResults(list), { title, allowedDrop });
  await checkStepFiles({ outputs: [output], data: pictures.map(({ path }) => path), overwrite });
  const { images, missing: missingImages } = await reportImages(pictures);
  const whole = { ...content, images, missingImages };
  if (output !== undefined) {
    // A page is loaded when it is written: its charts need libraries of 30 MB.
    const { renderReport } = await import('../report/variants-page.ts');
    await writeAtomic(output, renderReport(whole));
  }
  return {
    title: whole.title,
    ...decide(whole.variants, whole.allowedDrop),
    variants: whole.variants,
    sources: whole.sources,
    missingImages,
    markdown: renderMarkdown(whole),
    csv: renderCsv(whole),
  };
}

const isList = (results: ReportOptions['results']): results is readonly ResultSource[] => Array.isArray(results);
