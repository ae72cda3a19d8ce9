/**
 * The variants of a report. What several results say of one model is joined by its name, and models that have one name are told
 * apart by the hashes of their contents: files of two fine-tunes are often called the same.
 */
import { UsageError } from '../base/errors.ts';
import { namedErrors } from '../report/named-errors.ts';
import type { ReportedVariant } from '../report/variants.ts';
import { type Against, againstOf, NamesOfModels, sameName } from './report-names.ts';
import type { ReportPart } from './report-sources.ts';
import { stemOf } from './result-origin.ts';

/** What one result says of one model. */
interface Statement {
  /** The name of the model. */
  readonly name: string;
  readonly part: ReportPart;
  /** The number of the model, from 1, in a result of several. */
  readonly place?: number;
  /** What is said; two results must not say the same of one model. */
  readonly topics: readonly ('accuracy' | 'errors' | 'time')[];
  readonly modelHash?: string | undefined;
  readonly detectionsHash?: string | undefined;
  readonly fields: Omit<ReportedVariant, 'name'>;
}

/**
 * Joins what results say of variants; the reference comes first.
 *
 * @throws UsageError if two results say the same of a variant, if it is not clear which of two models of one name a result is
 * about, or if results are compared with different ones
 */
export function variantsOf(parts: readonly ReportPart[]): readonly ReportedVariant[] {
  const names = new NamesOfModels(parts);
  const statements = parts.flatMap((part) => statementsOf(part, names));
  const byName = new Map<string, Statement[]>();
  for (const statement of statements) {
    const key = statement.name.toLowerCase();
    byName.set(key, [...(byName.get(key) ?? []), statement]);
  }
  const variants = [...byName.values()].flatMap(tellApart);
  const reference = referenceOf(variants, statements, againstOf(parts, names));
  if (reference && !variants.includes(reference)) return [reference, ...variants].map(joined);
  return variants.toSorted((a, b) => Number(b === reference) - Number(a === reference)).map(joined);
}

function statementsOf(part: ReportPart, names: NamesOfModels): Statement[] {
  if (part.kind === 'compress')
    return part.result.variants.map(({ name, modelHash, ...fields }) => {
      return { name, part, topics: ['accuracy', 'errors', 'time'], modelHash, fields };
    });
  const { subject, modelHash, detectionsHash } = part.origin;
  const about = { name: names.modelOf(subject, detectionsHash, part.source), part, modelHash, detectionsHash };
  switch (part.kind) {
    case 'score': {
      const { figures, intervals, change } = part.result;
      return [{ ...about, topics: ['accuracy'], fields: { figures, intervals, change } }];
    }
    case 'errors': {
      const { threshold, errors: analysis, groups, change, categoryNames, imageNames } = part.result;
      const named = namedErrors(part.result, change, { categories: categoryNames, images: imageNames });
      return [{ ...about, topics: ['errors'], fields: { errors: { threshold, analysis, groups, ...named } } }];
    }
    case 'measure': {
      const { runSeconds, medianSeconds, peakMemoryBytes } = part.result;
      const fields = { runSeconds, roundSeconds: [medianSeconds], medianSeconds, peakMemoryBytes };
      return [{ ...about, topics: ['time'], fields }];
    }
    case 'bench':
      return part.result.models.map(({ model, identity, bytes, seconds, roundSeconds, peakMemoryBytes }, index) => ({
        name: names.modelOf(stemOf(model), undefined, part.source),
        part,
        place: index + 1,
        topics: ['time'],
        modelHash: identity?.modelHash,
        fields: {
          fileBytes: bytes,
          medianSeconds: seconds.median,
          runSeconds: roundSeconds,
          roundSeconds,
          peakMemoryBytes,
        },
      }));
    default:
      return [];
  }
}

/** A variant with all that is said of it. */
interface Variant {
  readonly name: string;
  readonly said: readonly Statement[];
}

/** The variants that have one name. @throws UsageError if it is not clear which of them a statement is about */
function tellApart(statements: readonly Statement[]): Variant[] {
  const name = statements[0]?.name ?? '';
  let groups: Statement[][] = [];
  const unknown: Statement[] = [];
  for (const statement of statements) {
    if ((statement.modelHash ?? statement.detectionsHash) === undefined) {
      unknown.push(statement);
      continue;
    }
    const same = groups.filter((group) => group.some((other) => isOfSame(other, statement)));
    groups = [...groups.filter((group) => !same.includes(group)), [...same.flat(), statement]];
  }
  const [first = [], second, ...more] = groups;
  if (!second || (more.length === 0 && complete(first, second))) return [{ name, said: statements }];
  const ofModels = groups.filter(hasModel);
  const unclear = unknown[0] ?? (ofModels.length > 0 ? groups.find((group) => !hasModel(group))?.[0] : undefined);
  if (unclear) {
    const others = (ofModels.length > 1 ? ofModels : groups).flatMap(([each]) =>
      each && each !== unclear ? [each] : [],
    );
    const [one, other = unclear] = others;
    throw new UsageError(
      `${one?.part.source ?? ''} and ${other.part.source} are about different ${ofModels.length > 1 ? 'models' : 'detections'} that are both called ${name}${other === unclear ? '' : `, and ${unclear.part.source} does not tell which of them it is about`}; give their files different names, and make the results again.`,
    );
  }
  const labels = labelsOf(name, groups);
  return groups.map((said, index) => ({ name: labels[index] ?? name, said }));
}

const hasModel = (group: readonly Statement[]): boolean => group.some(({ modelHash }) => modelHash !== undefined);
const hasDetections = (group: readonly Statement[]): boolean =>
  group.some(({ detectionsHash }) => detectionsHash !== undefined);

/** Whether hashes say that two statements are about one model. Two models may find the same. */
function isOfSame(a: Statement, b: Statement): boolean {
  const known = (hash: 'modelHash' | 'detectionsHash') => a[hash] !== undefined && b[hash] !== undefined;
  if (known('modelHash')) return a.modelHash === b.modelHash;
  return known('detectionsHash') && a.detectionsHash === b.detectionsHash;
}

/** Whether one group is of a model and the other of detections, so that they may be of the same model. */
const complete = (a: readonly Statement[], b: readonly Statement[]): boolean =>
  !(hasModel(a) && hasModel(b)) && !(hasDetections(a) && hasDetections(b));

/** Names that differ: by the files of the results, by the places of the models in them, or by hashes. */
function labelsOf(name: string, groups: readonly (readonly Statement[])[]): string[] {
  const fileOf = ({ part: { file, source } }: Statement) => (file === '' ? source : file);
  const ways: ((said: Statement) => string)[] = [
    fileOf,
    (said) => (said.place === undefined ? fileOf(said) : `model ${said.place} of ${fileOf(said)}`),
    ({ modelHash, detectionsHash }) => (modelHash ?? detectionsHash ?? '').slice(0, 8),
  ];
  const labelled = ways.map((way) => groups.map(([said]) => (said ? way(said) : '')));
  const labels = labelled.find((each) => new Set(each).size === each.length) ?? labelled.at(-1) ?? [];
  // Other parts of a result of compress know its variants by their names.
  const isKept = (group: readonly Statement[] | undefined) => group?.some(({ part }) => part.kind === 'compress');
  return labels.map((label, index) => (isKept(groups[index]) ? name : `${name} (${label})`));
}

/** All that is said of a variant. @throws UsageError if two results say the same */
function joined({ name, said }: Variant): ReportedVariant {
  const saidBy = new Map<string, string>();
  for (const { topics, part } of said)
    for (const topic of topics) {
      const other = saidBy.get(topic);
      if (other !== undefined)
        throw new UsageError(`${other} and ${part.source} both have the ${topic} of ${name}; give one of them.`);
      saidBy.set(topic, part.source);
    }
  return Object.assign({ name }, ...said.map(({ fields }) => fields));
}

/**
 * The variant that the others are compared with, which may be known by its name alone; undefined if nothing is scored or timed
 * in turns.
 */
function referenceOf(
  variants: readonly Variant[],
  statements: readonly Statement[],
  against: Against | undefined,
): Variant | undefined {
  const byKind = (...kinds: ReportPart['kind'][]) => statements.find(({ part }) => kinds.includes(part.kind));
  const whole = byKind('compress');
  if (against && !whole) return comparedVariant(variants, against);
  const first = whole ?? byKind('score', 'errors') ?? byKind('bench');
  return variants.find(({ said }) => said.some((each) => each === first));
}

/** @throws UsageError if the variant of the name has other detections than those that were compared with */
function comparedVariant(variants: readonly Variant[], { name, hash, source }: Against): Variant {
  const named = variants.filter(({ said }) => said.some((each) => sameName(each.name, name)));
  const known = (said: readonly Statement[]) => said.find(({ detectionsHash }) => detectionsHash !== undefined);
  const exact = named.find(({ said }) => hash !== undefined && known(said)?.detectionsHash === hash);
  if (exact) return exact;
  const possible = hash === undefined ? named : named.filter(({ said }) => known(said) === undefined);
  const [only, another] = possible;
  if (only && !another) return only;
  const [other] = named;
  if (!other) return { name, said: [] };
  throw new UsageError(
    `${source} is compared with ${name}, but with other detections than those of it that ${(known(other.said) ?? other.said[0])?.part.source ?? ''} is about; make both of the same detections.`,
  );
}
