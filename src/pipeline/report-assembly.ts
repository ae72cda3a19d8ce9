/** Makes one report of several results, which must be of one model on one data set. */
import { UsageError } from '../base/errors.ts';
import type { ReportContent } from '../report/report-content.ts';
import type { CompressedImage } from './compress-options.ts';
import type { ReportPart } from './report-sources.ts';

/** What the caller decides. */
interface AssemblyOptions {
  readonly title?: string | undefined;
  readonly allowedDrop?: number | undefined;
}

/** The content of a report, and the pictures that are still to be read. */
export interface AssembledReport {
  readonly content: Omit<ReportContent, 'images' | 'missingImages'>;
  readonly pictures: readonly CompressedImage[];
}

/** @throws UsageError if results do not belong together */
export function assembleReport(parts: readonly ReportPart[], { title, allowedDrop }: AssemblyOptions): AssembledReport {
  const [first, second] = parts;
  if (!first) throw new UsageError('`results` names no result; give at least one.');
  if (second)
    throw new UsageError(`A report is of one result of compress, and ${first.source} and ${second.source} are two.`);
  const { result, source } = first;
  return {
    content: {
      title: title ?? result.title,
      summary: result.summary,
      allowedDrop: allowedDrop ?? result.allowedDrop,
      variants: result.variants,
      outputFigures: result.outputFigures,
      inspected: result.inspected,
      activations: result.activations,
      provenance: result.provenance,
      sources: source === '' ? [] : [source],
    },
    pictures: result.images,
  };
}
