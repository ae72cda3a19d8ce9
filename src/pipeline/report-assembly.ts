/** Makes one report of several results, which must be of one model on one data set. */
import { UsageError } from '../base/errors.ts';
import { threadsInWords } from '../base/format.ts';
import { DEFAULT_ALLOWED_DROP } from '../evaluate/recommendation.ts';
import type { ReportContent } from '../report/report-content.ts';
import type { CompressedImage } from './compress-options.ts';
import { checkTogether } from './report-belonging.ts';
import type { ReportPart, StepPart } from './report-sources.ts';
import { variantsOf } from './report-variants.ts';

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

/** @throws UsageError if results do not belong together, or say the same twice */
export function assembleReport(parts: readonly ReportPart[], { title, allowedDrop }: AssemblyOptions): AssembledReport {
  checkTogether(parts);
  const [compressed] = onlyOne(parts, 'compress');
  const [sensitivity] = onlyOne(parts, 'sensitivity');
  const [tuned] = onlyOne(parts, 'tune');
  const [contribution] = onlyOne(parts, 'contribution');
  const [vocabulary] = onlyOne(parts, 'vocabulary');
  const others = parts.filter((part): part is StepPart => part.kind !== 'compress');
  const variants = variantsOf(parts);
  const about = compressed?.result;
  const named = parts.flatMap(({ file }) => (file === '' ? [] : [file]));
  return {
    content: {
      title: title ?? about?.title ?? `${variants[0]?.name ?? others[0]?.origin.subject ?? ''}: variants compared`,
      summary: about?.summary ?? summaryOf(others),
      allowedDrop: allowedDrop ?? about?.allowedDrop ?? DEFAULT_ALLOWED_DROP,
      variants,
      outputFigures: about?.outputFigures ?? [],
      inspected: about?.inspected,
      activations: about?.activations,
      publishedSize: about?.publishedSize,
      provenance: about?.provenance,
      sensitivity: sensitivity?.result,
      mixtures: tuned?.result.mixtures,
      contribution: contribution && { name: contribution.origin.subject, contributions: contribution.result },
      vocabulary: vocabulary && {
        name: vocabulary.origin.subject,
        against: vocabulary.origin.against,
        result: vocabulary.result,
      },
      sources: named,
    },
    pictures: about?.images ?? [],
  };
}

/** The only part of a kind, or none. @throws UsageError if there are two */
function onlyOne<Kind extends ReportPart['kind']>(parts: readonly ReportPart[], kind: Kind) {
  const found = parts.filter((part): part is Extract<ReportPart, { kind: Kind }> => part.kind === kind);
  const [first, second] = found;
  if (first && second)
    throw new UsageError(`${first.source} and ${second.source} are both results of ${kind}; a report takes one.`);
  return found;
}

function summaryOf(parts: readonly StepPart[]): string | undefined {
  const [scored] = parts.flatMap(({ origin }) => origin.dataset ?? []);
  const [bench] = parts.filter((part) => part.kind === 'bench');
  const sentences = [
    ...(scored ? [`Scored on ${scored.images} images of ${scored.name} with ${scored.boxes} boxes.`] : []),
    ...(bench
      ? [
          `Timed in ${bench.result.rounds} processes of ${bench.result.runs} runs each, in turns, with ${threadsInWords(bench.result.threads)}.`,
        ]
      : []),
  ];
  return sentences.length > 0 ? sentences.join(' ') : undefined;
}
