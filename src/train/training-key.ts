/** Everything that decides the numbers of a training, as a flat object that tells two trainings apart. */
import { createHash, type Hash } from 'node:crypto';
import { hashFiles } from '../base/hash-files.ts';
import { hashJson } from '../base/hash-json.ts';
import type { CocoDataset } from '../data/coco.ts';
import type { CheckpointPackage } from '../models/package/package.ts';
import { bytesOf } from '../onnx/tensor.ts';
import type { TrainablePlan } from './learned-scales.ts';
import { type TrainingOptions, type TrainingSettings, trainingSchemas } from './training-settings.ts';

/** Settings by their paths, such as `schedule.max`, and hashes of data and weights. */
export type TrainingKey = Readonly<Record<string, string | number | boolean>>;

/** The key of a training. Two trainings with the same key compute the same numbers on the same machine. */
export async function trainingKey(
  source: CheckpointPackage,
  dataset: CocoDataset,
  settings: TrainingSettings,
  quantized: TrainablePlan | undefined,
): Promise<TrainingKey> {
  const { images, annotations, categories, ignoreOrientation } = dataset;
  const paths = images.map((image) => dataset.pathOf(image));
  const weights = createHash('sha256');
  for (const [name, { bytes }] of source.tensors) weights.update(name).update(bytes);
  const scales = createHash('sha256');
  for (const { name, initial } of quantized?.scales ?? []) scales.update(name).update(bytesOf(initial.data));
  return {
    ...Object.fromEntries(flatten(settings)),
    images: hashOf(images),
    'contents of the images': (await hashFiles(paths, {})).slice(0, HASH_DIGITS),
    annotations: hashOf(annotations),
    categories: hashOf(categories),
    'settings of the preprocessing': hashOf(source.preprocessing),
    ...(ignoreOrientation && { 'ignored orientation': true }),
    'checkpoint weights': hex(weights),
    ...(quantized && {
      recipe: hashOf(quantized.plan.recipe),
      target: quantized.plan.target.name,
      'calibrated scales': hex(scales),
    }),
  };
}

const HASH_DIGITS = 32;
const hex = (hash: Hash) => hash.digest('hex').slice(0, HASH_DIGITS);
/** A hash of plain data, as short as those of a key. */
export const hashOf = (value: unknown): string => hashJson(value).slice(0, HASH_DIGITS);

/** The numbers, texts and booleans in a tree of plain objects, by their paths. */
function* flatten(value: object, path = ''): Generator<readonly [string, string | number | boolean]> {
  for (const [name, part] of Object.entries(value)) {
    const at = path === '' ? name : `${path}.${name}`;
    if (typeof part === 'object' && part !== null) yield* flatten(part, at);
    else if (typeof part === 'string' || typeof part === 'number' || typeof part === 'boolean') yield [at, part];
  }
}

/** The options behind settings that are not called like the last part of their paths. */
const OPTION_OF: Readonly<Record<string, keyof TrainingOptions>> = {
  'schedule.kind': 'schedule',
  'schedule.max': 'learningRate',
  'schedule.base': 'baseRate',
  'schedule.step': 'cycleSteps',
  'optimizer.clipNorm': 'clip',
  'loss.distillation': 'distil',
  'loss.matching.class': 'classWeight',
  'loss.loss.class': 'classWeight',
  'denoising.queries': 'denoising',
};

/** The name of a setting as the caller knows it: that of the option, if there is one. */
function nameOfSetting(path: string): string {
  const option = OPTION_OF[path] ?? path.slice(path.lastIndexOf('.') + 1);
  return option in trainingSchemas ? `\`${option}\`` : path;
}

/** Returns a phrase about the first difference between two keys; undefined if they are equal. */
export function keyDifference(stored: TrainingKey, wanted: TrainingKey): string | undefined {
  const name = [...new Set([...Object.keys(wanted), ...Object.keys(stored)])].find(
    (each) => stored[each] !== wanted[each],
  );
  if (name === undefined) return undefined;
  const [before, now] = [stored[name], wanted[name]];
  if (/^[0-9a-f]{32}$/.test(String(before ?? now))) return `the ${name} ${name === 'recipe' ? 'differs' : 'differ'}`;
  return `the setting ${nameOfSetting(name)} was ${before ?? 'absent'} and is now ${now ?? 'absent'}`;
}
