/** The part that the commands `train` and `qat` share: their options, the line of progress and the summary. */
import { Command, Option } from '@commander-js/extra-typings';
import { capitalized } from '../base/capitalized.ts';
import { duration } from '../base/format.ts';
import { printable } from '../base/printable.ts';
import type { Progress } from '../base/progress.ts';
import { TRAINING_LABEL, TRAINING_RUN_DEFAULTS, type TrainingResult } from '../pipeline/training-options.ts';
import type { TrainingScore } from '../train/run-training.ts';
import { SCHEDULES } from '../train/schedule.ts';
import type { StepReport } from '../train/trainer.ts';
import { TRAINING_DEFAULTS, type TrainingKind } from '../train/training-settings.ts';
import { commandLine } from './command-line.ts';
import { interruption, keepsOnInterruption } from './interruption.ts';
import { notice } from './notices.ts';
import { print } from './output.ts';
import { Estimate, lineWriter, work } from './progress-line.ts';
import {
  emaOption,
  fraction,
  jsonOption,
  notNegative,
  overwriteOption,
  positive,
  seedOption,
  threadsOption,
  tokenizerOption,
  wholeNumber,
} from './shared-options.ts';

/** A command with the options that both kinds of training have; the defaults are those of the kind. */
export function trainingCommand(kind: TrainingKind) {
  // Without this type, options would be of the type of one number.
  const defaults: Record<'baseRate' | 'cycleSteps' | 'weightDecay' | 'clip' | 'mirror' | 'crop' | 'colour', number> &
    Record<'classWeight' | 'denoising', number> = TRAINING_DEFAULTS;
  const minutes: number = TRAINING_RUN_DEFAULTS.checkpointMinutes;
  return new Command(kind)
    .optionsGroup('Length and data:')
    .option(
      '--epochs <count>',
      'number of passes over the images (default: more for few images than for many: 35 for 200 images, 10 for 1,000 to 10,000)',
      positive('--epochs'),
    )
    .option('--steps <count>', 'number of steps of the optimizer, in place of --epochs', wholeNumber('--steps'))
    .option(
      '--batch <images>',
      'number of images that are computed together (default: 12, or as many as some 4 GB hold)',
      wholeNumber('--batch'),
    )
    .option(
      '--accumulate <batches>',
      'number of batches whose gradients are added up for one step (default: enough for 12 images; 1 beside --batch)',
      wholeNumber('--accumulate'),
    )
    .option('--images <count>', 'train on only the first <count> images (default: all)', wholeNumber('--images'))
    .option(
      '--height <pixels>',
      "height of the canvas into which images are fitted (default: enough for every image at the size of the model's preprocessing)",
      wholeNumber('--height', 32),
    )
    .option(
      '--width <pixels>',
      "width of the canvas into which images are fitted (default: enough for every image at the size of the model's preprocessing)",
      wholeNumber('--width', 32),
    )
    .option(
      '--text-length <tokens>',
      'maximum length of a prompt in tokens (default: that of a prompt with all categories)',
      wholeNumber('--text-length', 8),
    )
    .option('--mirror <probability>', 'probability of mirroring an image', fraction('--mirror'), defaults.mirror)
    .option('--crop <probability>', 'probability of cropping and shrinking an image', fraction('--crop'), defaults.crop)
    .option(
      '--colour <fraction>',
      'maximum relative change of brightness and saturation, from 0 to 1',
      fraction('--colour'),
      defaults.colour,
    )
    .optionsGroup('Optimizer and losses:')
    .option(
      '--learning-rate <rate>',
      'maximum learning rate (default: 1e-4 at the published width of 256 channels, and higher for narrower models)',
      positive('--learning-rate'),
    )
    .addOption(
      new Option('--schedule <kind>', 'how the learning rate changes over the training')
        .choices(SCHEDULES)
        .default(TRAINING_DEFAULTS.schedule),
    )
    .option(
      '--rise <fraction>',
      'fraction of the steps in which the learning rate rises to its maximum (default: 0.05 of cosine, 0.3 of one-cycle)',
      fraction('--rise'),
    )
    .option(
      '--base-rate <rate>',
      'minimum learning rate of a triangular schedule',
      positive('--base-rate'),
      defaults.baseRate,
    )
    .option(
      '--cycle-steps <count>',
      'steps in which a triangular schedule rises from its minimum to its maximum',
      wholeNumber('--cycle-steps'),
      defaults.cycleSteps,
    )
    .option(
      '--weight-decay <number>',
      'weight decay of the AdamW optimizer, which applies to matrices',
      notNegative('--weight-decay'),
      defaults.weightDecay,
    )
    .option(
      '--backbone-rate <factor>',
      'factor on the learning rate of the image and text backbones (default: 0.1 for models of the published width of 256 channels, and 1 for narrower ones and random weights)',
      notNegative('--backbone-rate'),
    )
    .option('--clip <norm>', 'maximum norm of the gradient', positive('--clip'), defaults.clip)
    .option(
      '--average-decay <fraction>',
      'fraction that the moving average of the weights, which is the result, keeps at each step; 0 keeps no average (default: an average over a tenth of the steps)',
      fraction('--average-decay'),
    )
    .option(
      '--class-weight <weight>',
      'weight of the classification loss, beside 5 for the L1 loss and 2 for the GIoU loss of the boxes',
      positive('--class-weight'),
      defaults.classWeight,
    )
    .option(
      '--denoising <queries>',
      'number of denoising queries of an image, as in DINO, which uses 100; 0 trains without them',
      wholeNumber('--denoising', 0),
      defaults.denoising,
    )
    .optionsGroup('The run:')
    .addOption(seedOption())
    .option(
      '--checkpoint-minutes <minutes>',
      'minutes between two saves of the state; it is also saved at each best score, and at Ctrl-C if the running step ends within a second',
      notNegative('--checkpoint-minutes'),
      minutes,
    )
    .option(
      '--validate <dataset>',
      'score the model during the training on this labelled data set (of a data.yaml, on its split val)',
    )
    .option(
      '--validate-every <steps>',
      'number of steps between two scores of --validate (default: those of an epoch)',
      wholeNumber('--validate-every'),
    )
    .option(
      '--validate-images <count>',
      'score on only the first <count> images of --validate (default: all)',
      wholeNumber('--validate-images'),
    )
    .option(
      '--patience <scores>',
      'end the training after this number of scores in a row that were not above the best one (default: never)',
      wholeNumber('--patience'),
    )
    .option(
      '--finish',
      'take no further step: write the result of the steps that the interrupted training in --output has taken',
    )
    .option(
      '--longer',
      'continue a training that was planned for another number of --steps or --epochs; the learning rates follow the new plan',
    )
    .addOption(
      new Option('--device <device>', 'execution provider of ONNX Runtime that computes the training')
        .choices(['cpu', 'cuda', 'webgpu'] as const)
        .default(TRAINING_RUN_DEFAULTS.device),
    )
    .addOption(emaOption())
    .addOption(tokenizerOption())
    .addOption(threadsOption())
    .addOption(overwriteOption())
    .option(
      '--recompute',
      'compute the layers of the encoder again in the backward pass: needs less memory and more time (default: for images of which one needs more than some 4 GB)',
    )
    .option('--report <file>', 'write the curves of the training as an HTML page, again at each score and each save')
    .addOption(jsonOption())
    .optionsGroup(kind === 'qat' ? 'Quantization:' : 'Options:');
}

/**
 * Draws a line for the steps, a line for each score, and lines for the work before the training.
 * @param folder where the state is saved. A step of a large model takes longer than an interrupted command has, so that the sentence
 * with which it ends says which state there is
 */
export function trainingProgress(folder: string) {
  keepsOnInterruption(folder, 'the state of the last save, if there was one,');
  const write = lineWriter();
  const estimate = new Estimate();
  const { onProgress, ...others } = work();
  let isFirst = true;
  let planned: number | undefined;
  return {
    ...others,
    // The steps have a line of their own, which says more.
    onProgress: (progress: Progress) => {
      if (progress.label !== TRAINING_LABEL) onProgress?.(progress);
    },
    onPlan: (sentence: string) =>
      notice(`${sentence} \`steps\`, \`batch\`, \`learningRate\`, \`backboneRate\` and \`averageDecay\` set others.`),
    onStep: ({ step, loss, parts, rate }: StepReport, speed: number, total: number) => {
      const left = estimate.secondsLeft({ done: step, total }, performance.now());
      const isLast = step >= total;
      planned = total;
      const line = () =>
        [
          `step ${step}/${total}`,
          `loss ${loss.toFixed(3)} (class ${parts.class.toFixed(3)}, box ${parts.box.toFixed(4)}, giou ${parts.giou.toFixed(3)})`,
          `rate ${rate.toExponential(1)}`,
          `${speed.toFixed(1)} images/s`,
          ...(isLast || left === undefined ? [] : [`${duration(left)} left`]),
        ].join(', ');
      write(line, isFirst, isLast);
      isFirst = false;
    },
    onScore: ({ AP, AP50 }: TrainingScore, step: number) =>
      say(`step ${step}: AP ${AP.toFixed(2)}, AP50 ${AP50.toFixed(2)}`),
    onSave: (step: number) => {
      const state = `the state after step ${step}${planned === undefined ? '' : ` of ${planned}`}`;
      keepsOnInterruption(folder, state);
      if (!interruption().aborted) return;
      say(`${capitalized(state)} is saved. To go on: ${commandLine()}`);
      // With --finish that is what the command does when it goes on.
      if (step > 0 && !commandLine().includes(' --finish'))
        say(`To end here and write the result: ${commandLine()} --finish`);
    },
  };
}

/** Writes a line to the standard error, in place of the line of progress. */
function say(sentence: string): void {
  process.stderr.write(`${process.stderr.isTTY ? '\r\x1b[2K' : ''}${printable(sentence)}\n`);
}

/** Prints how long a training took, how the score changed, and where its log is. */
export function printTraining(output: string, result: TrainingResult): void {
  const { steps, finished, resumedAt, seconds, log, scores, best } = result;
  const [first, last] = [scores[0], scores.at(-1)];
  const change = first && last ? `; AP ${first.AP.toFixed(2)} → ${last.AP.toFixed(2)}` : '';
  const why = commandLine().includes(' --finish') ? '--finish' : '--patience, since no score was above the best one';
  const ended = finished < steps ? `; the training was ended at step ${finished} of ${steps} by ${why}` : '';
  print(`${output}: ${finished - resumedAt} steps in ${duration(seconds)}${change}${ended}`);
  if (best) print(`The best AP was ${best.AP.toFixed(2)} after step ${best.step}; its weights are in ${best.path}.`);
  print(`The log of the steps is ${log}.`);
}
