/**
 * Runs a training from where it is to its end: steps, the log, a state on disk every few minutes and at an interruption,
 * and scores on validation images in between.
 */

import { join } from 'node:path';
import { checkFields, checkValue, optional, truth, wholeNumber } from '../base/check-options.ts';
import { InputError, messageOf, UsageError } from '../base/errors.ts';
import { exists, makeDirectory } from '../base/files.ts';
import type { WorkOptions } from '../base/progress.ts';
import { reserve } from '../base/reserve.ts';
import type { CocoDataset } from '../data/coco.ts';
import { Detector } from '../detect/detector.ts';
import { scoreDataset } from '../evaluate/score-dataset.ts';
import type { Training } from './create-training.ts';
import { DivergenceError, type StepReport } from './trainer.ts';
import { hashOf } from './training-key.ts';
import { type LogLine, openTrainingLog } from './training-log.ts';
import { readTrainingState, writeTrainingState } from './training-state.ts';

/** Average precision on validation images, in COCO's points (0 … 100). */
export interface TrainingScore {
  /** Average precision, averaged over the overlaps of COCO. */
  readonly AP: number;
  /** Average precision at an overlap of 0.5. */
  readonly AP50: number;
  /** The number of validation images. */
  readonly images: number;
}

/**
 * Options of `runTraining`. An aborted `signal` ends the training after the step that is running, once the state is
 * written; `onProgress` is called while validation images are scored.
 */
export interface RunOptions extends WorkOptions {
  /** The folder that keeps the state and the log. It is made if it does not exist. */
  readonly directory: string;
  /** How often the state is written, in minutes; 0 writes it after every step. By default 5. */
  readonly checkpointMinutes?: number | undefined;
  /** Scores the moving average of the weights before the first step, every so many steps and at the end. */
  readonly validation?:
    | {
        /** The labelled images. */
        readonly dataset: CocoDataset;
        /** By default the steps of an epoch. */
        readonly every?: number | undefined;
      }
    | undefined;
  /** Ends the training after so many scores in a row that were not above the best one before; needs `validation`. */
  readonly patience?: number | undefined;
  /** Takes no further step: the training ends at the state in `directory`, which must be there. */
  readonly finish?: boolean | undefined;
  /** Continues a training that was planned for another number of steps. The learning rates follow the new plan from there. */
  readonly longer?: boolean | undefined;
  /**
   * Writes the moving average of the weights: `best` at a score above all before, when the state is written too, and `last` each
   * time that the state is written.
   */
  readonly keep?: ((name: KeptWeights) => Promise<void>) | undefined;
  /** Called with the whole log after each score, and each time that the state was written. */
  readonly onLog?: ((log: readonly LogLine[]) => Promise<void>) | undefined;
  /** Called after each step, with the number of all steps last. */
  readonly onStep?: ((report: StepReport, imagesPerSecond: number, steps: number) => void) | undefined;
  /** Called after each score, with the number of finished steps. */
  readonly onScore?: ((score: TrainingScore, step: number) => void) | undefined;
  /** Called each time that the state was written, with the number of steps that it holds. */
  readonly onSave?: ((step: number) => void) | undefined;
}

/** The weights that are written while a training runs. */
export type KeptWeights = 'best' | 'last';
/** All of them. */
export const KEPT_WEIGHTS: readonly KeptWeights[] = ['best', 'last'];

/** The default of `checkpointMinutes`. */
export const CHECKPOINT_MINUTES = 5;

const STATE_FILE = 'training-state.safetensors';
const LOG_FILE = 'log.jsonl';

/** The result of `runTraining`. */
export interface RunResult {
  /** The lines of the log, those of earlier runs first. */
  readonly log: readonly LogLine[];
  /** The number of steps that an earlier run had finished. */
  readonly resumedAt: number;
  /** The number of finished steps: all, unless `patience` or `finish` ended the training before. */
  readonly finished: number;
}

/**
 * Takes the remaining steps of a training. If the folder holds a state of the same training, the training continues from
 * there, with the same numbers on the same machine as if it had not been interrupted.
 * @throws UsageError if an option is not possible, or `patience` is given without `validation`
 * @throws DivergenceError if a loss or gradient is not finite, InputError if a file cannot be read or written; the
 * messages name the state to go back to, or the log if it has scores of other validation images
 * @throws the reason of the signal if it was aborted
 * @example
 * await using training = await createTraining(checkpoint, dataset, resolveTrainingSettings(checkpoint, dataset, 'train'));
 * const { log } = await runTraining(training, { directory: 'tuned', onStep: ({ step, loss }) => console.log(step, loss) });
 */
export async function runTraining(training: Training, options: RunOptions): Promise<RunResult> {
  checkFields('The options must be an object with a directory', options, 'directory');
  checkFields('The training must be what `createTraining` returned', training, 'trainer', 'settings');
  const { trainer, key, settings } = training;
  checkValue('`patience`', optional(wholeNumber(1)), options.patience);
  checkValue('`finish`', optional(truth), options.finish);
  checkValue('`longer`', optional(truth), options.longer);
  if (options.patience !== undefined && !options.validation)
    throw new UsageError('`patience` has no effect without `validation`; leave it out.');
  const { directory, signal, validation, checkpointMinutes = CHECKPOINT_MINUTES } = options;
  const { patience = Number.POSITIVE_INFINITY, finish = false, longer = false } = options;
  const every = validation?.every ?? training.stepsPerEpoch;
  const path = join(directory, STATE_FILE);
  await makeTrainingDirectory(directory, path, finish);
  await using _ = await reserve(path);
  const resumedAt = await readTrainingState(trainer.store, key, path, { longer });
  if (finish && resumedAt === 0) throw nothingToFinish(directory);
  if (resumedAt > settings.steps)
    throw new InputError(`${path} is at step ${resumedAt}, beyond the ${settings.steps} that are asked for.`);
  await using log = await openTrainingLog(join(directory, LOG_FILE), resumedAt);
  const labels = validation && labelsHash(validation.dataset);
  refuseOtherScores(log.entries, labels, join(directory, LOG_FILE));
  let done = resumedAt;
  let saved = resumedAt;
  let savedAt = performance.now();
  let kept: number | undefined;
  const keepLast = async () => {
    if (kept !== done && done > 0) await options.keep?.('last');
    kept = done;
  };
  const save = async () => {
    // An interrupted training ends at once; the state holds the last weights too. They are written before it: a run that is
    // killed in between writes both again.
    if (!signal?.aborted) await keepLast();
    if (saved !== done || done === 0) {
      await writeTrainingState(trainer.store, { step: done, key }, path);
      options.onSave?.(done);
    }
    saved = done;
    savedAt = performance.now();
    if (!signal?.aborted) await options.onLog?.(log.entries);
  };
  const lastState = () => (saved > 0 || resumedAt > 0 ? `${path} holds step ${saved}` : 'no step was saved yet');
  // The log is long, and only a score changes what it says about the best one.
  let sinceBest = scoresSinceBest(log.entries);
  const addScore = async () => {
    if (!validation || log.entries.some((line) => line.kind === 'score' && line.step === done)) return;
    const score = await scoreTraining(training, validation.dataset, options);
    // The state is written first, and the line last: a run that is killed in between goes on at this step, scores again and
    // writes the weights then. From an older state, the log would lose this score while the file has its weights.
    const isBest = scoresOf(log.entries).every(({ AP }) => score.AP > AP);
    if (isBest && done > 0) {
      await save();
      await options.keep?.('best');
    }
    await log.append({ kind: 'score', step: done, ...score, labels });
    sinceBest = scoresSinceBest(log.entries);
    options.onScore?.(score, done);
    await options.onLog?.(log.entries);
  };
  const isOver = () => finish || done >= settings.steps || sinceBest >= patience;
  try {
    // An earlier run may have been interrupted between a step and its score.
    if (done % every === 0) await addScore();
    while (!isOver()) {
      signal?.throwIfAborted();
      const started = performance.now();
      const report = await trainer.step(done + 1);
      done = report.step;
      const imagesPerSecond = (1000 * training.imagesPerStep) / (performance.now() - started);
      await log.append(lineOf(report, training.stepsPerEpoch, imagesPerSecond));
      options.onStep?.(report, imagesPerSecond, settings.steps);
      if (done % every === 0) await addScore();
      if (performance.now() - savedAt >= checkpointMinutes * 60_000) await save();
    }
    await addScore();
    await save();
  } catch (error) {
    if (signal?.aborted) {
      await save();
      throw error;
    }
    if (error instanceof DivergenceError)
      throw new DivergenceError(
        `${withoutStop(error)}; ${lastState()}: lower the learning rate, or the clipping norm, and start again.`,
      );
    if (error instanceof InputError)
      throw new InputError(`${withoutStop(error)}; ${lastState()}: remove the cause and start again.`);
    throw error;
  }
  return { log: log.entries, resumedAt, finished: done };
}

type ScoreLine = Extract<LogLine, { kind: 'score' }>;

const nothingToFinish = (directory: string) =>
  new InputError(`${directory} has no state of a training that could be finished; train at least until a save.`);

/** Nothing is made for a training that does not begin. */
async function makeTrainingDirectory(directory: string, state: string, finish: boolean): Promise<void> {
  if (finish && !(await exists(state))) throw nothingToFinish(directory);
  await makeDirectory(directory);
}

const scoresOf = (log: readonly LogLine[]): ScoreLine[] => log.filter((line) => line.kind === 'score');

/** Tells sets of validation images apart, whose scores cannot be compared. */
const labelsHash = ({ images, annotations, categories }: CocoDataset): string =>
  hashOf([images, annotations, categories]);

/** @throws InputError if a log has scores of images with other names or labels than those that the training is scored on */
function refuseOtherScores(log: readonly LogLine[], labels: string | undefined, path: string): void {
  if (labels === undefined || scoresOf(log).every((line) => (line.labels ?? labels) === labels)) return;
  throw new InputError(
    `${path} has scores of other validation images, with which the next ones cannot be compared; name the images of before, or another folder.`,
  );
}

/** The first of the highest scores in the log of a training; undefined if there is none. */
export function bestScore(log: readonly LogLine[]): ScoreLine | undefined {
  return scoresOf(log).reduce<ScoreLine | undefined>(
    (best, line) => (best && best.AP >= line.AP ? best : line),
    undefined,
  );
}

/** The number of scores after the best one. */
function scoresSinceBest(log: readonly LogLine[]): number {
  const best = bestScore(log);
  return scoresOf(log).filter(({ step }) => best !== undefined && step > best.step).length;
}

const withoutStop = (error: Error) => messageOf(error).replace(/\.$/, '');

/** The score of the moving average of the weights, quantized if the training is. */
async function scoreTraining(
  training: Training,
  dataset: CocoDataset,
  { onProgress, signal }: WorkOptions,
): Promise<TrainingScore> {
  await using detector = await Detector.create(await training.package('averages'));
  const { figures, images } = await scoreDataset(detector, dataset, { onProgress, signal, label: 'Scoring' });
  return { AP: 100 * figures.AP, AP50: 100 * figures.AP50, images };
}

function lineOf(
  { step, loss, parts, distillation, rate, gradientNorm }: StepReport,
  stepsPerEpoch: number,
  imagesPerSecond: number,
) {
  return {
    kind: 'step' as const,
    step,
    epoch: step / stepsPerEpoch,
    loss,
    ...parts,
    ...(distillation === undefined ? {} : { distillation }),
    rate,
    gradientNorm,
    imagesPerSecond: Math.round(100 * imagesPerSecond) / 100,
  };
}
