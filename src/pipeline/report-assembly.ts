/** Makes one report of several results, which must be of one model on one data set. */
import { UsageError } from '../base/errors.ts';
import { threadsInWords } from '../base/format.ts';
import type { LabelsIdentity } from '../evaluate/dataset-identity.ts';
import { DEFAULT_ALLOWED_DROP } from '../evaluate/recommendation.ts';
import type { ReportContent } from '../report/report-content.ts';
import type { ReportedVariant } from '../report/variants.ts';
import type { CompressedImage } from './compress-options.ts';
import type { CompressPart, ReportPart, StepPart } from './report-sources.ts';
import { stemOf } from './result-origin.ts';

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
  const others = parts.filter((part): part is StepPart => part.kind !== 'compress');
  const variants = variantsOf(compressed, others);
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

/** What of a result tells whether it belongs to others. */
interface Belonging {
  readonly source: string;
  readonly network?: string | undefined;
  readonly model: string;
  readonly dataset?: LabelsIdentity | undefined;
  /** True if it may be of a part of the images only. */
  readonly isOfSome: boolean;
}

function belongingOf(part: ReportPart): Belonging {
  if (part.kind === 'compress') {
    const { checkpoint, dataset } = part.result.provenance;
    return { source: part.source, network: checkpoint.network, model: checkpoint.name, dataset, isOfSome: false };
  }
  const { network, subject, dataset } = part.origin;
  // Parts of a model may be judged by fewer images than the model.
  const isOfSome = part.kind === 'sensitivity' || part.kind === 'tune';
  return { source: part.source, network, model: subject, dataset, isOfSome };
}

/** @throws UsageError that names two results of different models or data sets */
function checkTogether(parts: readonly ReportPart[]): void {
  const all = parts.map(belongingOf);
  const [known] = all.filter(({ network }) => network !== undefined);
  const stranger = all.find(({ network }) => network !== undefined && network !== known?.network);
  if (known && stranger)
    throw new UsageError(
      `${known.source} is about the model ${known.model} and ${stranger.source} about ${stranger.model}, whose configuration differs; make a report of each.`,
    );
  const labelled = all.flatMap((each) => (each.dataset ? [{ ...each, dataset: each.dataset }] : []));
  const [first] = labelled.toSorted((a, b) => Number(a.isOfSome) - Number(b.isOfSome));
  const other = labelled.find(({ dataset, isOfSome }) =>
    isOfSome ? dataset.categoryHash !== first?.dataset.categoryHash : dataset.hash !== first?.dataset.hash,
  );
  if (first && other)
    throw new UsageError(
      `${first.source} is about ${describe(first.dataset)}, and ${other.source} about ${describe(other.dataset)}; results of different data sets do not belong in one report.`,
    );
}

const describe = ({ name, images, boxes, hash }: LabelsIdentity): string =>
  `${name} (${images} images with ${boxes} boxes, ${hash.slice(0, 8)})`;

/** Collects what results say of variants, by the names of the variants. */
class Variants {
  readonly #fields = new Map<string, ReportedVariant>();
  readonly #saidBy = new Map<string, string>();

  /** @throws UsageError if another result says the same of the variant */
  add(name: string, what: string, source: string, fields: Omit<ReportedVariant, 'name'>): void {
    const key = keyOf(name);
    const other = this.#saidBy.get(`${what} ${key}`);
    if (other !== undefined)
      throw new UsageError(`${other} and ${source} both have the ${what} of ${name}; give one of them.`);
    this.#saidBy.set(`${what} ${key}`, source);
    this.#fields.set(key, { name, ...this.#fields.get(key), ...fields });
  }

  /** All variants, the reference first. */
  list(reference: string | undefined): ReportedVariant[] {
    const first = reference === undefined ? undefined : keyOf(reference);
    const all = [...this.#fields].toSorted(([a], [b]) => Number(b === first) - Number(a === first));
    return all.map(([, variant]) => variant);
  }
}

const keyOf = (name: string): string => name.toLowerCase();

function variantsOf(compressed: CompressPart | undefined, parts: readonly StepPart[]): readonly ReportedVariant[] {
  const variants = new Variants();
  for (const { name, ...fields } of compressed?.result.variants ?? []) {
    const source = compressed?.source ?? '';
    for (const what of ['accuracy', 'errors', 'time']) variants.add(name, what, source, fields);
  }
  const alias = aliasesOf(parts);
  const nameOf = (subject: string) => alias.get(keyOf(subject)) ?? subject;
  for (const part of parts) {
    const { source, origin } = part;
    const name = nameOf(origin.subject);
    if (part.kind === 'score') {
      const { figures, intervals, change } = part.result;
      variants.add(name, 'accuracy', source, { figures, intervals, change });
    } else if (part.kind === 'errors') {
      const { threshold, errors: analysis, groups, change } = part.result;
      variants.add(name, 'errors', source, { errors: { threshold, analysis, groups, change } });
    } else if (part.kind === 'measure') {
      const { runSeconds, medianSeconds, peakMemoryBytes } = part.result;
      variants.add(name, 'time', source, {
        runSeconds,
        roundSeconds: [medianSeconds],
        medianSeconds,
        peakMemoryBytes,
      });
    } else if (part.kind === 'bench')
      for (const { model, bytes, seconds, roundSeconds, peakMemoryBytes } of part.result.models)
        variants.add(nameOf(stemOf(model)), 'time', source, {
          fileBytes: bytes,
          medianSeconds: seconds.median,
          runSeconds: roundSeconds,
          roundSeconds,
          peakMemoryBytes,
        });
  }
  const reference = compressed?.result.variants[0]?.name ?? referenceOf(parts);
  return variants.list(reference === undefined ? undefined : nameOf(reference));
}

/** A model may be known by the name of its detections, with which others are compared. */
function aliasesOf(parts: readonly StepPart[]): ReadonlyMap<string, string> {
  return new Map(
    parts.flatMap(({ origin: { subject, detections } }) =>
      detections === undefined ? [] : [[keyOf(detections), subject] as const],
    ),
  );
}

/** The name of what the others are compared with. @throws UsageError if results are compared with different ones */
function referenceOf(parts: readonly StepPart[]): string | undefined {
  const scores = parts.filter(({ kind }) => kind === 'score' || kind === 'errors');
  const compared = scores.flatMap(({ source, origin: { against } }) =>
    against === undefined ? [] : [{ source, against }],
  );
  const [first] = compared;
  const other = compared.find(({ against }) => keyOf(against) !== keyOf(first?.against ?? ''));
  if (first && other)
    throw new UsageError(
      `${first.source} is compared with ${first.against}, and ${other.source} with ${other.against}; compare all variants with one.`,
    );
  const [bench] = parts.filter((part) => part.kind === 'bench');
  return first?.against ?? scores[0]?.origin.subject ?? bench?.origin.subject;
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
