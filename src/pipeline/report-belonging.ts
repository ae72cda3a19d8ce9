/** Whether results belong in one report: those of different models or data sets do not. */
import { UsageError } from '../base/errors.ts';
import type { LabelsIdentity } from '../evaluate/dataset-identity.ts';
import type { ReportPart } from './report-sources.ts';
import { stemOf } from './result-origin.ts';

/** A model that a result is about. */
interface AboutModel {
  readonly source: string;
  readonly model: string;
  readonly network?: string | undefined;
  readonly weights?: string | undefined;
}

/** The labels that a result is about. */
interface AboutLabels {
  readonly source: string;
  readonly dataset: LabelsIdentity;
  /** True if it may be of a part of the images only. */
  readonly isOfSome: boolean;
}

/** @throws UsageError that names two results of different models or data sets */
export function checkTogether(parts: readonly ReportPart[]): void {
  const models = parts.flatMap(modelsOf);
  refuseStranger(models, 'network', 'whose configuration differs');
  refuseStranger(models, 'weights', 'which were made from different weights, as two fine-tunes are');
  checkLabels(parts.flatMap(labelsOf));
  checkThresholds(parts);
}

/** @throws UsageError if objects count as found from different scores, of which a report shows one */
function checkThresholds(parts: readonly ReportPart[]): void {
  const known = parts.flatMap((part) => {
    const threshold = part.kind === 'compress' ? part.result.variants[0]?.errors?.threshold : undefined;
    if (part.kind !== 'errors') return threshold === undefined ? [] : [{ source: part.source, threshold }];
    return [{ source: part.source, threshold: part.result.threshold }];
  });
  const [first] = known;
  const other = known.find(({ threshold }) => threshold !== first?.threshold);
  if (first && other)
    throw new UsageError(
      `${first.source} counts boxes from a score of ${first.threshold} and ${other.source} from ${other.threshold}; make both with one threshold.`,
    );
}

function modelsOf(part: ReportPart): AboutModel[] {
  const { source } = part;
  if (part.kind === 'compress') {
    const { name: model, network, weights } = part.result.provenance.checkpoint;
    return [{ source, model, network, weights }];
  }
  const { subject: model, network, weights } = part.origin;
  const judged = { source, model, network, weights };
  if (part.kind !== 'bench') return [judged];
  return [
    judged,
    ...part.result.models.map(({ model: path, identity }) => ({ source, model: stemOf(path), ...identity })),
  ];
}

function labelsOf(part: ReportPart): AboutLabels[] {
  const { source } = part;
  if (part.kind === 'compress') return [{ source, dataset: part.result.provenance.dataset, isOfSome: false }];
  // Parts of a model, and its words, may be judged by fewer images than the model.
  const isOfSome = ['sensitivity', 'tune', 'contribution', 'vocabulary'].includes(part.kind);
  return part.origin.dataset ? [{ source, dataset: part.origin.dataset, isOfSome }] : [];
}

/** @throws UsageError if two models that have the hash do not have the same one */
function refuseStranger(models: readonly AboutModel[], hash: 'network' | 'weights', why: string): void {
  const known = models.filter((each) => each[hash] !== undefined);
  const [first] = known;
  const stranger = known.find((each) => each[hash] !== first?.[hash]);
  if (first && stranger)
    throw new UsageError(
      first.source === stranger.source
        ? `${first.source} is about the models ${first.model} and ${stranger.model}, ${why}; make a report of each.`
        : `${first.source} is about the model ${first.model} and ${stranger.source} about ${stranger.model}, ${why}; make a report of each.`,
    );
}

function checkLabels(labelled: readonly AboutLabels[]): void {
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
