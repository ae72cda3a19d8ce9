/** What `train` and `qat` have in common: options, progress, and the run itself. */
import { join } from 'node:path';
import { type Command, Option } from 'commander';
import { UsageError } from '../base/errors.ts';
import { writeAtomic } from '../base/files.ts';
import { type CocoDataset, openCoco, takeImages } from '../data/coco.ts';
import type { CheckpointPackage } from '../models/package/package.ts';
import { renderTraining } from '../report/training.ts';
import type { ProviderName } from '../runtime/options.ts';
import {
  createTraining,
  defaultSettings,
  type QuantizedTraining,
  scoreTraining,
  type TrainingSession,
  type TrainingSettings,
} from '../train/create-training.ts';
import { runTraining } from '../train/run-training.ts';
import { SCHEDULES, type Schedule } from '../train/schedule.ts';
import type { StepReport } from '../train/trainer.ts';
import { interruption } from './interruption.ts';
import { duration, fraction, print, printJson, wholeNumber } from './terminal.ts';

export interface TrainingOptions {
  epochs: number;
  steps?: number;
  batch: number;
  accumulate: number;
  learningRate: number;
  schedule: Schedule['kind'];
  baseRate: number;
  cycleSteps: number;
  weightDecay: number;
  backboneRate: number;
  clip: number;
  averageDecay: number;
  height?: number;
  width?: number;
  textLength?: number;
  mirror: number;
  crop: number;
  colour: number;
  classWeight: number;
  denoising: number;
  /** Of `qat` alone. */
  labels?: number;
  distil?: number;
  seed: number;
  checkpointMinutes: number;
  validate?: string;
  validateEvery?: number;
  validateImages?: number;
  images?: number;
  device: ProviderName;
  threads?: number;
  recompute?: true;
  report?: string;
  json?: true;
}

export interface TrainingDefaults {
  readonly learningRate: number;
  readonly backboneRate: number;
  readonly averageDecay: number;
}

export function addTrainingOptions(command: Command, defaults: TrainingDefaults): Command {
  const schedule = new Option('--schedule <kind>', 'how the learning rate changes').choices([...SCHEDULES]);
  const device = new Option('--device <device>', 'what computes').choices(['cpu', 'cuda', 'webgpu']).default('cpu');
  return command
    .option('--epochs <count>', 'how often to go through the images', positive('--epochs'), 10)
    .option('--steps <count>', 'how many steps, in place of --epochs', wholeNumber('--steps'))
    .option('--batch <images>', 'images computed at once', wholeNumber('--batch'), 4)
    .option('--accumulate <batches>', 'batches that make a step', wholeNumber('--accumulate'), 1)
    .option('--images <count>', 'only the first images', wholeNumber('--images'))
    .option('--learning-rate <rate>', 'the largest learning rate', positive('--learning-rate'), defaults.learningRate)
    .addOption(schedule.default('cosine'))
    .option('--base-rate <rate>', 'the lowest of triangular schedules', positive('--base-rate'), 1e-6)
    .option('--cycle-steps <count>', 'steps of one side of a triangle', wholeNumber('--cycle-steps'), 2000)
    .option('--weight-decay <number>', 'of weight matrices', positive('--weight-decay', true), 1e-4)
    .option(
      '--backbone-rate <factor>',
      'the learning rate of both backbones, as a multiple',
      positive('--backbone-rate', true),
      defaults.backboneRate,
    )
    .option('--clip <norm>', 'the largest norm of the gradient', positive('--clip'), 0.1)
    .option(
      '--average-decay <share>',
      'the result is a moving average of the weights that keeps this share at each step; 0 for none',
      fraction('--average-decay'),
      defaults.averageDecay,
    )
    .option('--height <pixels>', 'of the canvas that images are fitted into', wholeNumber('--height', 32))
    .option('--width <pixels>', 'of the canvas', wholeNumber('--width', 32))
    .option('--text-length <tokens>', 'the longest prompt (default: all categories)', wholeNumber('--text-length', 8))
    .option('--mirror <probability>', 'of exchanging left and right', fraction('--mirror'), 0.5)
    .option('--crop <probability>', 'of cropping and shrinking', fraction('--crop'), 0)
    .option('--colour <share>', 'the largest change of brightness and saturation', fraction('--colour'), 0)
    .option('--class-weight <number>', 'of the class loss; boxes have 5 and 2', positive('--class-weight'), 1)
    .option('--denoising <queries>', 'denoising queries of an image, such as 100', wholeNumber('--denoising', 0), 0)
    .option('--seed <number>', 'what all choices follow from', wholeNumber('--seed', 0), 0)
    .option('--checkpoint-minutes <minutes>', 'how often the state is saved', positive('--checkpoint-minutes', true), 5)
    .option('--validate <coco>', "images in COCO's layout to score on")
    .option('--validate-every <steps>', 'how often (default: each epoch)', wholeNumber('--validate-every'))
    .option('--validate-images <count>', 'only the first of them', wholeNumber('--validate-images'))
    .addOption(device)
    .option('--threads <count>', 'threads to run with (default: one per core)', wholeNumber('--threads'))
    .option('--recompute', 'compute the layers of the encoder twice, for less memory')
    .option('--report <file>', 'write the curves as an HTML page')
    .option('--json', 'print the result as JSON');
}

/** An option parser for positive numbers, or such from 0 on. */
export function positive(option: string, orZero = false): (text: string) => number {
  return (text) => {
    const value = Number(text);
    if (text.trim() === '' || !Number.isFinite(value) || value < 0 || (value === 0 && !orZero))
      throw new UsageError(`${option} must be a ${orZero ? 'number from 0 on' : 'positive number'}, not "${text}".`);
    return value;
  };
}

function scheduleOf({
  schedule: kind,
  learningRate: max,
  baseRate: base,
  cycleSteps: step,
}: TrainingOptions): Schedule {
  switch (kind) {
    case 'constant':
      return { kind, max };
    case 'cosine':
      return { kind, max, final: 0.01 };
    case 'one-cycle':
      return { kind, max, rise: 0.3 };
    default:
      return { kind, max, base, step };
  }
}

function settingsOf(
  source: CheckpointPackage,
  dataset: CocoDataset,
  options: TrainingOptions,
  quantized: Pick<TrainingSettings, 'warmUp' | 'freezeScales'> & { readonly scaleRate: number },
): TrainingSettings {
  const usual = defaultSettings(source, dataset);
  const weights = { ...usual.loss.loss, class: options.classWeight };
  const perEpoch = Math.max(1, Math.floor(dataset.images.length / (options.batch * options.accumulate)));
  return {
    ...usual,
    batch: options.batch,
    accumulate: options.accumulate,
    steps: options.steps ?? Math.max(1, Math.round(options.epochs * perEpoch)),
    canvas: { height: options.height ?? usual.canvas.height, width: options.width ?? usual.canvas.width },
    textLength: options.textLength ?? usual.textLength,
    seed: options.seed,
    augmentation: { ...usual.augmentation, mirror: options.mirror, crop: options.crop, colour: options.colour },
    loss: {
      matching: weights,
      loss: weights,
      recompute: options.recompute ?? false,
      labels: options.labels ?? 1,
      distillation: options.distil ?? 0,
    },
    denoising: { ...usual.denoising, queries: options.denoising },
    schedule: scheduleOf(options),
    groups: {
      weightDecay: options.weightDecay,
      backboneRate: options.backboneRate,
      scaleRate: quantized.scaleRate,
    },
    optimizer: { ...usual.optimizer, clipNorm: options.clip, averageDecay: options.averageDecay },
    warmUp: quantized.warmUp,
    freezeScales: quantized.freezeScales,
  };
}

export interface TrainingTask {
  readonly source: CheckpointPackage;
  readonly dataset: CocoDataset;
  /** Where state and log are kept. */
  readonly directory: string;
  readonly options: TrainingOptions;
  readonly quantized?: QuantizedTraining | undefined;
  readonly quantizing?: Pick<TrainingSettings, 'warmUp' | 'freezeScales'> & { readonly scaleRate: number };
  /** Writes the result, and answers how to describe it. */
  readonly write: (session: TrainingSession) => Promise<Record<string, unknown> & { readonly output: string }>;
}

const NOT_QUANTIZED = { warmUp: 0, freezeScales: 0, scaleRate: 0 };

export async function train(task: TrainingTask): Promise<void> {
  const { source, dataset, directory, options } = task;
  const settings = settingsOf(source, dataset, options, task.quantizing ?? NOT_QUANTIZED);
  const validation = options.validate === undefined ? undefined : await openCoco(options.validate);
  await using session = await createTraining(source, dataset, settings, {
    providers: [options.device],
    threads: options.threads,
    quantized: task.quantized,
  });
  const perEpoch = Math.max(1, Math.floor(session.batches.perEpoch / settings.accumulate));
  const started = performance.now();
  const scored = validation && takeImages(validation, options.validateImages ?? Number.POSITIVE_INFINITY);
  const { log, resumedAt } = await runTraining(session.trainer, {
    directory,
    key: session.key,
    steps: settings.steps,
    stepsPerEpoch: perEpoch,
    imagesPerStep: settings.batch * settings.accumulate,
    checkpointMinutes: options.checkpointMinutes,
    signal: interruption(),
    onStep: drawSteps(settings.steps),
    ...(scored && {
      score: {
        every: options.validateEvery ?? perEpoch,
        run: () => scoreTraining(session, scored, 'averages'),
      },
    }),
  });
  const result = await task.write(session);
  if (options.report !== undefined) await writeAtomic(options.report, renderTraining(result.output, log.lines));
  const scores = log.lines.filter((line) => line.kind === 'score');
  const seconds = (performance.now() - started) / 1000;
  if (options.json) {
    printJson({ ...result, steps: settings.steps, resumedAt, seconds, scores });
    return;
  }
  const [first, last] = [scores[0], scores.at(-1)];
  const change = first && last ? `; AP ${first.AP.toFixed(2)} → ${last.AP.toFixed(2)}` : '';
  print(`${result.output}: ${settings.steps - resumedAt} steps in ${duration(seconds)}${change}`);
  print(`log: ${join(directory, 'log.jsonl')}`);
}

const REDRAW_EVERY = 200;
const LOG_EVERY = 10_000;

/** One line that changes on a terminal, a line now and then elsewhere: loss and its parts, rate, speed, time left. */
function drawSteps(steps: number, stream: NodeJS.WriteStream = process.stderr) {
  let drawn = Number.NEGATIVE_INFINITY;
  let begun: { readonly step: number; readonly at: number } | undefined;
  return ({ step, loss, parts, rate }: StepReport, speed: number) => {
    const now = performance.now();
    // The first step takes longer than the others, and what went before has nothing to do with what is left.
    begun ??= { step, at: now };
    const isLast = step >= steps;
    if (!isLast && now - drawn < (stream.isTTY ? REDRAW_EVERY : LOG_EVERY)) return;
    drawn = now;
    const left = ((now - begun.at) / 1000 / Math.max(1, step - begun.step)) * (steps - step);
    const line = [
      `step ${step}/${steps}`,
      `loss ${loss.toFixed(3)} (class ${parts.class.toFixed(3)}, box ${parts.box.toFixed(4)}, giou ${parts.giou.toFixed(3)})`,
      `rate ${rate.toExponential(1)}`,
      `${speed.toFixed(1)} images/s`,
      ...(isLast || step === begun.step ? [] : [`${duration(left)} left`]),
    ].join(', ');
    stream.write(stream.isTTY ? `\r\x1b[2K${line}${isLast ? '\n' : ''}` : `${line}\n`);
  };
}
