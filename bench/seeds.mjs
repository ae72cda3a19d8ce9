// What the measurements of trainings share: they run commands of dino8, score models, and average over seeds.
import { execFileSync } from 'node:child_process';
import { existsSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { matchDetections, scoreDataset } from '../dist/evaluate.mjs';
import { Detector, readPackage } from '../dist/index.mjs';
import { estimate } from './figures.mjs';

export const root = join(dirname(fileURLToPath(import.meta.url)), '..');

/** Runs a command of dino8, unless an earlier run has made the file `result`. */
export function dino8(result, ...args) {
  if (existsSync(result)) return;
  execFileSync(process.execPath, [join(root, 'dist', 'cli.mjs'), ...args.map(String)], { stdio: 'inherit' });
}

/** The matches of a model's detections with the labels of a data set; by default all of its categories count. */
export async function matchesOf(model, dataset, subsets = [{}]) {
  const detector = await Detector.create(await readPackage(model));
  const { detections } = await scoreDataset(detector, dataset);
  await detector[Symbol.asyncDispose]();
  return subsets.map((options) => matchDetections(dataset, detections, options));
}

/** The mean over seeds with the interval of Student's t distribution. */
export function overSeeds(values) {
  const QUANTILE = { 2: 12.706, 3: 4.303, 4: 3.182, 5: 2.776, 8: 2.365, 16: 2.131, 24: 2.069, 32: 2.04 }; // 97.5 %, of one degree of freedom fewer than values
  const mean = values.reduce((sum, value) => sum + value, 0) / values.length;
  const variance = values.reduce((sum, value) => sum + (value - mean) ** 2, 0) / (values.length - 1);
  const half = (QUANTILE[values.length] ?? Number.NaN) * Math.sqrt(variance / values.length);
  return { value: mean, low: mean - half, high: mean + half };
}

/** The heading of a table with a column for each seed and, of several, one for their mean. */
export function seedsHeading(title, count) {
  const seeds = Array.from({ length: count }, (_, seed) => `seed ${seed}`);
  return [title, ...seeds, ...(count > 1 ? ['mean over seeds'] : [])];
}

/** A row of such a table, of the estimates of each seed. */
export function seedsRow({ label, estimates, format }) {
  const means = estimates.length > 1 ? [overSeeds(estimates.map(({ value }) => value))] : [];
  return [label, ...[...estimates, ...means].map((each) => estimate(each, format))];
}
