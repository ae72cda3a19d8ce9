/**
 * What models are called in results. Detections may have another name than their model; the result of the evaluation that wrote
 * them knows both.
 */
import { UsageError } from '../base/errors.ts';
import type { ReportPart, StepPart } from './report-sources.ts';

/** Names are those of files, of which some systems do not tell capitals from small letters. */
export const sameName = (a: string, b: string): boolean => a.toLowerCase() === b.toLowerCase();

/** The names of models, by those of their detections. */
export class NamesOfModels {
  readonly #evaluations: readonly StepPart[];

  constructor(parts: readonly ReportPart[]) {
    this.#evaluations = parts.filter(
      (part): part is StepPart =>
        part.kind === 'score' && (part.origin.modelHash ?? part.origin.detections) !== undefined,
    );
  }

  /**
   * The name of the model of detections, or `name` if no evaluation knows them.
   *
   * @param hash of the detections
   * @param source the result that names them
   * @param asking the result, if it is compared with them: they are not its own, even if both models found the same
   * @throws UsageError if evaluations of several models wrote detections with this name
   */
  modelOf(name: string, hash: string | undefined, source: string, asking?: ReportPart): string {
    const others = this.#evaluations.filter((part) => part !== asking);
    const exact = others.filter(({ origin }) => hash !== undefined && origin.detectionsHash === hash);
    const [first, ...same] = exact;
    if (first && same.every(({ origin }) => sameName(origin.subject, first.origin.subject)))
      return first.origin.subject;
    const named = others.filter(
      ({ origin }) =>
        origin.detections !== undefined &&
        sameName(origin.detections, name) &&
        (hash === undefined || origin.detectionsHash === undefined || origin.detectionsHash === hash),
    );
    const [one, ...more] = named;
    const another = more.find(({ origin }) => !sameName(origin.subject, one?.origin.subject ?? ''));
    if (one && another)
      throw new UsageError(
        `${source} is about detections called ${name}, as those of ${one.origin.subject} in ${one.source} and those of ${another.origin.subject} in ${another.source} are; give them different names, and make the results again.`,
      );
    return one?.origin.subject ?? name;
  }
}

/** What results are compared with. */
export interface Against {
  /** The name of the model. */
  readonly name: string;
  /** The hash of its detections. */
  readonly hash?: string | undefined;
  /** A result that is compared with it. */
  readonly source: string;
}

/**
 * What the results are compared with; undefined if none is.
 *
 * @throws UsageError if they are compared with different models or detections
 */
export function againstOf(parts: readonly ReportPart[], names: NamesOfModels): Against | undefined {
  const compared = parts.flatMap((part): Against[] => {
    if (part.kind === 'compress') {
      const [reference] = part.result.variants;
      return reference ? [{ name: reference.name, source: part.source }] : [];
    }
    const { source, origin } = part;
    // The words of a model are compared with those of another one in a section of their own.
    if (origin.against === undefined || part.kind === 'vocabulary') return [];
    return [
      { name: names.modelOf(origin.against, origin.againstHash, source, part), hash: origin.againstHash, source },
    ];
  });
  const [first] = compared;
  if (!first) return undefined;
  const hashed = compared.find(({ hash }) => hash !== undefined);
  const other = compared.find(({ name }) => !sameName(name, first.name));
  if (other)
    throw new UsageError(
      `${first.source} is compared with ${first.name}, and ${other.source} with ${other.name}; compare all variants with one.`,
    );
  const changed = compared.find(({ hash }) => hash !== undefined && hash !== hashed?.hash);
  if (changed)
    throw new UsageError(
      `${hashed?.source ?? ''} and ${changed.source} are compared with different detections that are both called ${changed.name}; compare all variants with one.`,
    );
  return { ...first, hash: hashed?.hash };
}
