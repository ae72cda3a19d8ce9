/** Chooses the weights to use among those that a checkpoint holds: the training's own, or on request their running average. */
import { InputError, UsageError } from '../../base/errors.ts';
import type { StoredTensor } from './checkpoint.ts';
import { adapterName, nameOfModel } from './known-models.ts';
import { saysAveraged, type WeightSet } from './weight-sets.ts';

/** Which weights of a checkpoint are wanted. */
export interface WeightOptions {
  /** Takes the running average (EMA) of the weights, which some trainings save beside them. */
  readonly ema?: boolean | undefined;
}

/** The weights that were chosen. */
export interface ChosenWeights {
  /** The tensors, with the family's names. */
  readonly tensors: Map<string, StoredTensor>;
  /** Sentences about the choice, which a user should see. */
  readonly notices: readonly string[];
}

/** A way in which a program names the tensors of a network. */
export interface Naming {
  /** Ends of names that occur in this naming and together in no other. What stands before them is the prefix of all names. */
  readonly marks: readonly string[];
  /**
   * Gives the tensors the family's names.
   *
   * @param read reads the tensor of a name, which is one of `names`
   * @throws InputError if a tensor that is needed cannot be read
   */
  rename(names: readonly string[], read: (name: string) => StoredTensor, source: string): Map<string, StoredTensor>;
}

interface Candidate {
  readonly set: WeightSet;
  readonly naming: Naming;
  readonly prefix: string;
  /** The keys and the prefix, as the user can recognise them. */
  readonly label: string;
  readonly averaged: boolean | 'both';
}

/** Keys under which programs save the weights to use, in the order in which they are preferred. */
const USUAL = ['model', 'state_dict', 'model_state_dict', 'module', 'net', 'network', 'weights', 'params'];

/**
 * Reads the weights that are to be used, with the family's names.
 *
 * @param namings the family's, in the order in which they are tried
 * @param models the models that the family reads, for errors
 * @throws InputError if there are none of the family, or if they are to be merged with an adapter first; UsageError if an average is
 * asked for and there is none
 */
export function chooseWeights(
  sets: readonly WeightSet[],
  namings: readonly Naming[],
  models: string,
  source: string,
  { ema = false }: WeightOptions,
): ChosenWeights {
  const candidates = sets.flatMap((set) => recognise(set, namings));
  if (candidates.length === 0) throw new InputError(unrecognised(sets, namings, models, source));
  const averages = candidates.filter(({ averaged }) => averaged !== false);
  const plain = candidates.filter(({ averaged }) => averaged !== true);
  if (ema && averages.length === 0)
    throw new UsageError(
      `${source} holds no running average of the weights, so \`ema\` has nothing to take; leave it out.`,
    );
  const ranked = (ema ? averages : plain.length > 0 ? plain : averages).toSorted((a, b) => rank(a) - rank(b));
  const chosen = ranked[0] as Candidate; // each of the lists has one here
  const { set, naming, prefix, label, averaged } = chosen;
  const notices: string[] = [];
  if (averaged === 'both')
    notices.push(`${source} was saved by MMEngine, so ${label} is the running average (EMA) of the weights already.`);
  else if (!ema && averaged)
    notices.push(`${source} holds only a running average (EMA) of the weights, in ${label}, which is taken.`);
  else if (!ema && averages[0])
    notices.push(
      `${source} also holds a running average (EMA) of the weights, in ${averages[0].label}; the weights in ${label} are taken, and \`ema\` takes the average.`,
    );
  const others = ranked.slice(1).map((each) => each.label);
  if (others.length > 0)
    notices.push(`${source} holds several sets of weights; ${label} is taken, and ${others.join(', ')} left out.`);
  const names = [...set.names].filter((name) => name.startsWith(prefix)).map((name) => name.slice(prefix.length));
  const adapter = adapterName(names);
  if (adapter !== undefined)
    throw new InputError(
      `${source} holds a LoRA or PEFT adapter beside the weights, such as ${adapter.slice(0, 200)}, which would be left out; merge it into the model first, with merge_and_unload.`,
    );
  return { tensors: naming.rename(names, (name) => set.read(prefix + name), source), notices };
}

/** The namings that fit a set; more than one if it holds the weights several times, under several prefixes. */
function recognise(set: WeightSet, namings: readonly Naming[]): Candidate[] {
  const found = new Map<string, Candidate>();
  for (const naming of namings) {
    const [first = '', ...others] = naming.marks;
    for (const name of set.names) {
      if (!name.endsWith(first) || found.has(name)) continue;
      const prefix = name.slice(0, name.length - first.length);
      if ((prefix !== '' && !prefix.endsWith('.')) || !others.every((mark) => set.names.has(prefix + mark))) continue;
      const label =
        [...set.path, ...(prefix === '' ? [] : [`${prefix}*`])].join(' / ').slice(0, 200) || 'the file itself';
      found.set(name, { set, naming, prefix, label, averaged: set.averaged || saysAveraged(prefix) });
    }
  }
  return [...found.values()];
}

function rank({ set, prefix }: Candidate): number {
  const key = set.path[0] ?? '';
  const usual = set.path.length === 0 ? 0 : USUAL.indexOf(key);
  return (usual < 0 ? USUAL.length : usual) * 100 + Math.min(prefix.length, 99);
}

/** Says what a checkpoint holds in place of the weights of a known network. */
function unrecognised(sets: readonly WeightSet[], namings: readonly Naming[], models: string, source: string): string {
  const largest = sets.toSorted((a, b) => b.names.size - a.names.size)[0];
  if (!largest || largest.names.size === 0)
    return `${source} holds no tensors by name, so it is no checkpoint of ${models}.`;
  const known = nameOfModel(largest.names);
  const partial = incomplete(largest, namings);
  // One mark alone is that of other models too.
  if (partial && (!known || partial.present.length > 1))
    return `${source} has ${partial.present.join(' and ')} and lacks ${partial.missing.join(' and ')}, so it is no complete checkpoint of ${models}; save the whole model.`;
  if (known) return `${source} is ${known}, which dino8 does not read; it reads checkpoints of ${models}.`;
  const some = [...largest.names].slice(0, 3).map((name) => name.slice(0, 100));
  return `${source} holds tensors that are not those of ${models}, such as ${some.join(', ')}; is it the right checkpoint?`;
}

/** The marks of the naming of which a set has the most, as they are named in it, and those that it lacks; undefined if it has none. */
function incomplete(
  { names }: WeightSet,
  namings: readonly Naming[],
): { readonly present: readonly string[]; readonly missing: readonly string[] } | undefined {
  const found = namings.flatMap(({ marks }) =>
    marks.flatMap((mark) =>
      [...names].filter((name) => name === mark || name.endsWith(`.${mark}`)).map((name) => ({ marks, mark, name })),
    ),
  );
  const parts = found.map(({ marks, mark, name }) => {
    const all = marks.map((each) => name.slice(0, name.length - mark.length) + each);
    return { present: all.filter((each) => names.has(each)), missing: all.filter((each) => !names.has(each)) };
  });
  return parts.toSorted((a, b) => b.present.length - a.present.length)[0];
}
