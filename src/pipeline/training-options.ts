/** The options of the steps that train, beside those of the training itself, and the run that both steps share. */

import { basename, join } from 'node:path';
import { callback, numberWithin, type OptionSchemas, optional, truth } from '../base/check-options.ts';
import type { Defaults } from '../base/defaults.ts';
import { UsageError } from '../base/errors.ts';
import { writeAtomic } from '../base/files.ts';
import type { CocoDataset } from '../data/coco.ts';
import { type CheckpointPackage, type ReadOptions, readSchemas } from '../models/package/package.ts';
import type { ProviderName } from '../runtime/options.ts';
import type { ThreadOptions } from '../runtime/threads.ts';
import { createTraining, type Training } from '../train/create-training.ts';
import type { TrainablePlan } from '../train/learned-scales.ts';
import {
  bestScore,
  CHECKPOINT_MINUTES,
  type KeptWeights,
  type RunOptions,
  runTraining,
  type TrainingScore,
} from '../train/run-training.ts';
import type { LogLine } from '../train/training-log.ts';
import {
  describePlan,
  resolveTrainingSettings,
  type TrainingKind,
  type TrainingOptions,
  trainingOptionsOf,
  trainingSchemas,
} from '../train/training-settings.ts';
import {
  countSchema,
  datasetSchema,
  datasetSchemas,
  deviceSchema,
  optionalPath,
  overwriteSchemas,
  threadSchemas,
} from './option-schemas.ts';

import { openLabelled } from './samples.ts';
import type { DatasetOptions, DatasetSource } from './sources.ts';
import type { OverwriteOptions } from './step-files.ts';

/** Options of the run of a training. The options of the training itself decide its numbers; these do not. */
export interface TrainingRunOptions extends DatasetOptions, ReadOptions, ThreadOptions, OverwriteOptions {
  /** Trains on the first images, this many; all by default. */
  readonly images?: number | undefined;
  /** The minutes between two saves of the state; 5 by default. */
  readonly checkpointMinutes?: number | undefined;
  /** Labelled images on which the model is scored during the training. */
  readonly validate?: DatasetSource | undefined;
  /** The number of steps between two scores; an epoch by default. */
  readonly validateEvery?: number | undefined;
  /** Scores on the first images, this many; all by default. */
  readonly validateImages?: number | undefined;
  /** The execution provider that computes; `cpu` by default. */
  readonly device?: ProviderName | undefined;
  /** Ends the training after so many scores on `validate` in a row that were not above the best one; by default it does not. */
  readonly patience?: number | undefined;
  /** Takes no further step, and writes the result of the steps that an interrupted training has taken. */
  readonly finish?: boolean | undefined;
  /** Continues a training that was planned for another number of steps or epochs. */
  readonly longer?: boolean | undefined;
  /** The HTML file to write with the curves of the training, at each score and each save. */
  readonly report?: string | undefined;
  /** Called before the first step with a sentence that says how long the training is and at which rates it learns. */
  readonly onPlan?: ((sentence: string) => void) | undefined;
  /** Called after each step. */
  readonly onStep?: RunOptions['onStep'];
  /** Called after each score on `validate`, with the number of finished steps. */
  readonly onScore?: RunOptions['onScore'];
  /** Called each time that the state was written, with the number of steps that it holds. */
  readonly onSave?: RunOptions['onSave'];
}

/** The defaults of `TrainingRunOptions`. */
export const TRAINING_RUN_DEFAULTS: Defaults<TrainingRunOptions, 'checkpointMinutes' | 'device'> = {
  checkpointMinutes: CHECKPOINT_MINUTES,
  device: 'cpu',
};

/** The label by which a training reports its steps as progress. */
export const TRAINING_LABEL = 'Training';

/** Options of a step that trains: those of the training, and those of its run. */
export type TrainingStepOptions = TrainingOptions & TrainingRunOptions;

/** What the options of a step that trains must be. */
export const trainingStepSchemas: OptionSchemas<TrainingStepOptions> = {
  ...trainingSchemas,
  ...datasetSchemas,
  ...readSchemas,
  ...threadSchemas,
  ...overwriteSchemas,
  images: countSchema,
  checkpointMinutes: optional(numberWithin(0, 1e6)),
  validate: optional(datasetSchema),
  validateEvery: countSchema,
  validateImages: countSchema,
  device: deviceSchema,
  patience: countSchema,
  finish: optional(truth),
  longer: optional(truth),
  report: optionalPath,
  onPlan: optional(callback),
  onSave: optional(callback),
  onStep: optional(callback),
  onScore: optional(callback),
};

/** A score on validation images during a training. */
export interface StepScore extends TrainingScore {
  /** The number of finished steps. */
  readonly step: number;
}

/** The best score of a training. */
export interface BestScore extends StepScore {
  /** The weights of that step. */
  readonly path: string;
}

/** The result of a training. */
export interface TrainingResult {
  /** The number of steps that were planned. */
  readonly steps: number;
  /** The number of finished steps: all, unless `patience` or `finish` ended the training before. */
  readonly finished: number;
  /** The step at which this run began: 0 unless it continued an interrupted training. */
  readonly resumedAt: number;
  /** The seconds that this run took. */
  readonly seconds: number;
  /** The log of all steps and scores, as JSON lines. */
  readonly log: string;
  /** The scores on `validate`. */
  readonly scores: readonly StepScore[];
  /** The best score on `validate`, and where its weights are: undefined without scores after the first step. */
  readonly best?: BestScore | undefined;
}

/** A training that a step of the pipeline has prepared. */
export interface PreparedTraining {
  readonly kind: TrainingKind;
  readonly source: CheckpointPackage;
  readonly dataset: CocoDataset;
  /** The folder of the state and the log. */
  readonly directory: string;
  readonly options: TrainingStepOptions;
  /** Whether the weights of the source are random. */
  readonly fromScratch?: boolean | undefined;
  readonly quantized?: TrainablePlan | undefined;
  /** Names the training in the report. */
  readonly output: string;
  /** Where the best and the last weights are written while the training runs. */
  readonly pathOf: (name: KeptWeights) => string;
  /** Writes the moving average of the weights. */
  readonly write: (training: Training, path: string) => Promise<void>;
}

/** @throws UsageError if an option of a step that trains has no effect beside the others */
export function checkUnused({ validate, validateEvery, validateImages, patience }: TrainingStepOptions): void {
  const unused = Object.entries({ validateEvery, validateImages, patience }).find(([, value]) => value !== undefined);
  if (validate === undefined && unused)
    throw new UsageError(`\`${unused[0]}\` has no effect without \`validate\`; leave it out.`);
}

/** Runs a training from where it is to its end, and writes its result and its report. */
export async function runPreparedTraining(prepared: PreparedTraining): Promise<TrainingResult> {
  const { kind, source, dataset, directory, quantized, output, pathOf, write } = prepared;
  const { validate, validateEvery, validateImages, threads, report, onStep } = prepared.options;
  const {
    device = TRAINING_RUN_DEFAULTS.device,
    onProgress,
    signal,
    skipUnreadable,
    onLeftOut,
    onNotice,
  } = prepared.options;
  const checks = { onProgress, signal, skipUnreadable, onLeftOut, onNotice };
  const started = performance.now();
  const { fromScratch } = prepared;
  const { onPlan } = prepared.options;
  const settings = resolveTrainingSettings(source, dataset, kind, trainingOptionsOf(prepared.options), { fromScratch });
  onPlan?.(describePlan(settings, dataset.images.length));
  const validation =
    validate === undefined
      ? undefined
      : await openLabelled(source, validate, { ...checks, images: validateImages, of: 'validate' });
  await using training = await createTraining(source, dataset, settings, {
    providers: [device],
    threads,
    quantized,
    signal,
  });
  const { checkpointMinutes, patience, finish, longer, onScore, onSave } = prepared.options;
  const writeReport = async (lines: readonly LogLine[]) => {
    if (report === undefined) return;
    const { renderTraining } = await import('../report/training-page.ts');
    await writeAtomic(report, renderTraining(basename(output), lines));
  };
  const { log, resumedAt, finished } = await runTraining(training, {
    directory,
    checkpointMinutes,
    validation: validation && { dataset: validation, every: validateEvery },
    patience,
    finish,
    longer,
    keep: (name) => write(training, pathOf(name)),
    onProgress,
    signal,
    onScore,
    onSave,
    onLog: writeReport,
    onStep: (report, speed, steps) => {
      onStep?.(report, speed, steps);
      onProgress?.({ label: TRAINING_LABEL, done: report.step, total: steps });
    },
  });
  await write(training, output);
  await writeReport(log);
  const best = bestScore(log);
  const scores = log.filter((line) => line.kind === 'score');
  const seconds = (performance.now() - started) / 1000;
  return {
    steps: settings.steps,
    finished,
    resumedAt,
    seconds,
    log: join(directory, 'log.jsonl'),
    scores,
    best: best && best.step > 0 ? { ...best, path: pathOf('best') } : undefined,
  };
}
