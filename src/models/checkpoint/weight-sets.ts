/**
 * Finds the weights in what `torch.save` saved: a dictionary of tensors, one at any depth beside the state of an optimizer,
 * arguments and whatever else, or a whole module that was pickled with its class.
 */
import type { StoredTensor } from './checkpoint.ts';
import { PickleObject, type PickleValue } from './pickle-values.ts';
import type { TorchFile } from './torch-file.ts';
import { isTensor } from './torch-tensor.ts';

/** Named tensors that belong together. Each is made when it is read, so that only those which are needed must be readable. */
export interface WeightSet {
  /** The keys that lead to them, such as `model_ema`, `module`; none in a file that holds nothing else. */
  readonly path: readonly string[];
  /** Their names, without what wrappers of PyTorch put between the modules' names. */
  readonly names: ReadonlySet<string>;
  /** Whether they are a running average (EMA) of the training's weights, as far as the keys say; `both`: the only ones to use. */
  readonly averaged: boolean | 'both';
  /**
   * Reads one of the tensors.
   *
   * @throws InputError if it is not described in a way that dino8 reads
   */
  read(name: string): StoredTensor;
}

/**
 * Dictionaries and modules are nested less deep than this. A network has fewer modules and parameters, also with all copies of it
 * in a file, which may all be one object that is gone through again and again.
 */
const DEEPEST = 32;
const MOST_MODULES = 200_000;
/** A longer name is none. The same text may be the name of any number of tensors, and each would be a copy of it. */
const LONGEST_NAME = 1000;
/** The same dictionary is looked for under this number of further keys. */
const MOST_REPEATED = 64;
/** Longer lists are data, such as labels, and hold no weights. */
const LONGEST_LIST = 64;

/** The parts of names that `torch.compile`, FSDP and activation checkpointing insert. */
const WRAPPERS = /_orig_mod\.|_fsdp_wrapped_module\.|_checkpoint_wrapped_module\./g;

/** Keys and prefixes of running averages. */
const AVERAGED = /(?:^|[._\s])(?:ema|swa|avg|averaged?|teacher|shadow)(?=[._\s\d]|$)/i;

/** Returns whether a key or a prefix of names says that the weights are a running average. */
export const saysAveraged = (key: string): boolean => AVERAGED.test(key.replace(/(?<=[a-z])(?=[A-Z])/g, '_'));

/** The tensors of a file that holds nothing else, such as safetensors. */
export function weightSetOf(tensors: ReadonlyMap<string, StoredTensor>): WeightSet {
  const original = new Map([...tensors.keys()].map((name) => [name.replace(WRAPPERS, ''), name]));
  return {
    path: [],
    names: new Set(original.keys()),
    averaged: false,
    read: (name) => {
      const tensor = tensors.get(original.get(name) ?? name);
      if (!tensor) throw new Error(`${name} is not in the set`);
      return tensor;
    },
  };
}

/**
 * Finds every dictionary of tensors, outer ones first.
 *
 * @param source names the file in errors
 */
export function findWeightSets(file: TorchFile, source: string): WeightSet[] {
  const sets: WeightSet[] = [];
  const seen = new Map<PickleValue, ReadonlyMap<string, PickleObject>>();
  const left = { modules: MOST_MODULES };
  let repeated = 0;
  /** Adds the set that a value is, and returns whether there may be others in it. */
  const visit = (value: PickleValue, path: readonly string[]): boolean => {
    if (!isContainer(value)) return false;
    const known = seen.get(value);
    const described = known ?? describedTensors(value, left);
    seen.set(value, described);
    // Averages that were never updated are the same object as the weights, under another key.
    if (described.size > 0 && (!known || repeated++ < MOST_REPEATED))
      sets.push(torchSet(described, path, file, source));
    return !known && !isModule(value);
  };
  let level: { value: PickleValue; path: readonly string[] }[] = [{ value: file.value, path: [] }];
  for (let depth = 0; depth < DEEPEST && level.length > 0; depth++) {
    const next: typeof level = [];
    for (const { value, path } of level)
      if (visit(value, path))
        for (const [key, inner] of children(value)) next.push({ value: inner, path: [...path, key] });
    level = next;
  }
  return sets;
}

function torchSet(
  described: ReadonlyMap<string, PickleObject>,
  path: readonly string[],
  file: TorchFile,
  source: string,
): WeightSet {
  return {
    path,
    names: new Set(described.keys()),
    averaged: isAveraged(path, file.value),
    read: (name) => {
      const tensor = described.get(name);
      if (!tensor) throw new Error(`${name} is not in the set`);
      return file.tensors.read(tensor, `${source}: ${name}`);
    },
  };
}

/**
 * MMEngine swaps the two when it saves: `state_dict` holds the averages, and `ema_state_dict` the weights of the training
 * (`EMAHook.before_save_checkpoint`).
 */
function isAveraged(path: readonly string[], value: PickleValue): boolean | 'both' {
  if (value instanceof Map && value.has('ema_state_dict') && mmengineVersion(value) !== undefined) {
    if (path[0] === 'state_dict') return 'both';
    if (path[0] === 'ema_state_dict') return false;
  }
  return path.some(saysAveraged);
}

/** The version of MMEngine or MMCV that saved a checkpoint; undefined if it was something else. */
function mmengineVersion(value: PickleValue): string | undefined {
  const meta = value instanceof Map ? value.get('meta') : undefined;
  if (!(meta instanceof Map)) return undefined;
  const version = meta.get('mmengine_version') ?? meta.get('mmcv_version') ?? meta.get('mmdet_version');
  return typeof version === 'string' ? version : undefined;
}

/** The modules and parameters that may still be gone through. */
interface Left {
  modules: number;
}

const isName = (key: PickleValue): key is string => typeof key === 'string' && key.length <= LONGEST_NAME;

/** The tensors of a dictionary or of a module, by name. */
function describedTensors(value: PickleValue, left: Left): Map<string, PickleObject> {
  if (isModule(value)) return moduleTensors(value, left);
  const found = new Map<string, PickleObject>();
  for (const [key, inner] of dictionaryOf(value))
    if (isName(key) && isTensor(inner)) found.set(key.replace(WRAPPERS, ''), inner);
  return found;
}

const dictionaryOf = (value: PickleValue): ReadonlyMap<PickleValue, PickleValue> =>
  value instanceof Map ? value : value instanceof PickleObject ? value.entries : new Map();

/** The attributes of an object. */
const stateOf = (value: PickleValue): ReadonlyMap<PickleValue, PickleValue> | undefined =>
  value instanceof PickleObject && value.state instanceof Map ? value.state : undefined;

const isModule = (value: PickleValue): boolean => stateOf(value)?.get('_modules') instanceof Map;

/** The parameters and buffers of a pickled module and of those in it, under the names of `state_dict()`. */
function moduleTensors(module: PickleValue, left: Left): Map<string, PickleObject> {
  const found = new Map<string, PickleObject>();
  const pending = [{ value: module, prefix: '', depth: 0 }];
  while (left.modules > 0) {
    const next = pending.pop();
    if (!next) break;
    const { value, prefix, depth } = next;
    const tensors = [...attributeEntries(value, '_parameters'), ...attributeEntries(value, '_buffers')];
    const modules = attributeEntries(value, '_modules');
    left.modules -= 1 + tensors.length + modules.length;
    if (depth > DEEPEST || prefix.length > LONGEST_NAME) continue;
    for (const [key, inner] of tensors) if (isTensor(inner)) found.set(`${prefix}${key}`.replace(WRAPPERS, ''), inner);
    for (const [key, inner] of modules) pending.push({ value: inner, prefix: `${prefix}${key}.`, depth: depth + 1 });
  }
  return found;
}

/** The entries of a dictionary that is an attribute of an object, of those that have a name as their key. */
function attributeEntries(value: PickleValue, attribute: string): [key: string, inner: PickleValue][] {
  const entries = [...dictionaryOf(stateOf(value)?.get(attribute) ?? null)];
  return entries.filter((entry): entry is [string, PickleValue] => isName(entry[0]));
}

const isContainer = (value: PickleValue) => typeof value === 'object' && value !== null;

/** The containers in a dictionary, an object or a short list, by their key. */
function* children(value: PickleValue): Iterable<[key: string, inner: PickleValue]> {
  if (Array.isArray(value)) {
    if (value.length <= LONGEST_LIST)
      for (const [index, inner] of value.entries()) if (isContainer(inner)) yield [String(index), inner];
    return;
  }
  for (const entries of [dictionaryOf(value), stateOf(value) ?? new Map()])
    for (const [key, inner] of entries) if (isContainer(inner) && !isTensor(inner)) yield [String(keyText(key)), inner];
}

/** Keys are names in what holds weights; others are not spelled out, because they may be of any size. */
const keyText = (key: PickleValue) => (isName(key) || typeof key === 'number' ? key : '?');
