/** What `train` and `qat` have in common: options, progress, and the run itself. */
import { join } from 'node:path';
import { type Command, Option } from 'commander';
import { UsageError } from '../base/errors.ts';
import { writeAtomic } from '../base/files.ts';
import { type CocoDataset, openCoco, takeImages } from '../data/coco.ts';
import type { CheckpointPackage } from '../models/package/package.ts';
import { renderTraining } from '../report/training-page.ts';
import type { ProviderName } from '../runtime/options.ts';
import { createTraining, type Training } from '../train/create-training.ts';
import type { QuantizedTraining } from '../train/quantize-training.ts';
import { CHECKPOINT_MINUTES, runTraining } from '../train/run-training.ts';
import { SCHEDULES, type Schedule } from '../train/schedule.ts';
import type { StepReport } from '../train/trainer.ts';
import { resolveTrainingSettings, TRAINING_DEFAULTS, type TrainingKind } from '../train/training-settings.ts';
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

export function addTrainingOptions(command: Command, kind: TrainingKind): Command {
  const defaults = TRAINING_DEFAULTS[kind];
  const schedule = new Option('--schedule <kind>', 'how the learning rate changes').choices([...SCHEDULES]);
  const device = new Option('--device <device>', 'what computes').choices(['cpu', 'cuda', 'webgpu']).default('cpu');
  return command
    .option('--epochs <count>', 'how often to go through the images', positive('--epochs'), defaults.epochs)
    .option('--steps <count>', 'how many steps, in place of --epochs', wholeNumber('--steps'))
    .option('--batch <images>', 'images computed at once', wholeNumber('--batch'), defaults.batch)
    .option('--accumulate <batches>', 'batches that make a step', wholeNumber('--accumulate'), defaults.accumulate)
    .option('--images <count>', 'only the first images', wholeNumber('--images'))
    .option('--learning-rate <rate>', 'the largest learning rate', positive('--learning-rate'), defaults.learningRate)
    .addOption(schedule.default(defaults.schedule))
    .option('--base-rate <rate>', 'the lowest of triangular schedules', positive('--base-rate'), defaults.baseRate)
    .option(
      '--cycle-steps <count>',
      'steps of one side of a triangle',
      wholeNumber('--cycle-steps'),
      defaults.cycleSteps,
    )
    .option('--weight-decay <number>', 'of weight matrices', positive('--weight-decay', true), defaults.weightDecay)
    .option(
      '--backbone-rate <factor>',
      'the learning rate of both backbones, as a multiple',
      positive('--backbone-rate', true),
      defaults.backboneRate,
    )
    .option('--clip <norm>', 'the largest norm of the gradient', positive('--clip'), defaults.clip)
    .option(
      '--average-decay <share>',
      'the result is a moving average of the weights that keeps this share at each step; 0 for none',
      fraction('--average-decay'),
      defaults.averageDecay,
    )
    .option('--height <pixels>', 'of the canvas that images are fitted into', wholeNumber('--height', 32))
    .option('--width <pixels>', 'of the canvas', wholeNumber('--width', 32))
    .option('--text-length <tokens>', 'the longest prompt (default: all categories)', wholeNumber('--text-length', 8))
    .option('--mirror <probability>', 'of exchanging left and right', fraction('--mirror'), defaults.mirror)
    .option('--crop <probability>', 'of cropping and shrinking', fraction('--crop'), defaults.crop)
    .option(
      '--colour <share>',
      'the largest change of brightness and saturation',
      fraction('--colour'),
      defaults.colour,
    )
    .option(
      '--class-weight <number>',
      'of the class loss; boxes have 5 and 2',
      positive('--class-weight'),
      defaults.classWeight,
    )
    .option(
      '--denoising <queries>',
      'denoising queries of an image, such as 100',
      wholeNumber('--denoising', 0),
      defaults.denoising,
    )
    .option('--seed <number>', 'what all choices follow from', wholeNumber('--seed', 0), defaults.seed)
    .option(
      '--checkpoint-minutes <minutes>',
      'how often the state is saved',
      positive('--checkpoint-minutes', true),
      CHECKPOINT_MINUTES,
    )
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

export interface TrainingTask {
  readonly source: CheckpointPackage;
  readonly dataset: CocoDataset;
  /** Where state and log are kept. */
  readonly directory: string;
  readonly options: TrainingOptions;
  readonly quantized?: QuantizedTraining | undefined;
  /** Writes the result, and answers how to describe it. */
  readonly write: (session: Training) => Promise<Record<string, unknown> & { readonly output: string }>;
}

export async function train(task: TrainingTask): Promise<void> {
  const { source, dataset, directory, options } = task;
  const settings = resolveTrainingSettings(source, dataset, task.quantized ? 'qat' : 'train', options);
  const validation = options.validate === undefined ? undefined : await openCoco(options.validate);
  await using session = await createTraining(source, dataset, settings, {
    providers: [options.device],
    threads: options.threads,
    quantized: task.quantized,
  });
  const started = performance.now();
  const scored = validation && takeImages(validation, options.validateImages ?? Number.POSITIVE_INFINITY);
  const { log, resumedAt } = await runTraining(session, {
    directory,
    checkpointMinutes: options.checkpointMinutes,
    signal: interruption(),
    onStep: drawSteps(settings.steps),
    validation: scored && { dataset: scored, every: options.validateEvery },
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
