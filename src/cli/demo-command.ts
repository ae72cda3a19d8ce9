import { join } from 'node:path';
import { Command } from '@commander-js/extra-typings';
import { bundledCalibration, bundledModel, bundledValidation } from '../data/bundled.ts';
import { compress } from '../pipeline/compress-step.ts';
import { commandLine } from './command-line.ts';
import { printResults } from './compress-command.ts';
import { examples } from './examples.ts';
import { keepsOnInterruption } from './interruption.ts';
import { printJson } from './output.ts';
import { work } from './progress-line.ts';
import { jsonOption, overwriteOption, threadsOption, wholeNumber } from './shared-options.ts';

/** The training of the demo: enough steps to gain accuracy, few enough for minutes on two cores. */
const TRAINING = { recipe: 'full', steps: 240, batch: 12 } as const;
/** Images that are scored, of the 500 that are bundled. */
const SCORED_IMAGES: number = 200;

/** `dino8 demo`: `dino8 compress` on the bundled model and images. */
export const demoCommand = () =>
  new Command('demo')
    .description(
      'Run dino8 compress on the bundled model and images: build, quantize, train, score and measure, and write a report. It takes four to nine minutes on two cores.',
    )
    .option('--quick', 'leave out the quantization-aware training, which is the longest part')
    .option(
      '--images <count>',
      'score only the first <count> of the 500 images',
      wholeNumber('--images'),
      SCORED_IMAGES,
    )
    .addOption(threadsOption())
    .addOption(overwriteOption())
    .option(
      '--out <folder>',
      'the folder to write: the models, results.json, and the state of the work',
      join('.dino8', 'demo'),
    )
    .option('--report <file>', 'the HTML file of the report', 'dino8-report.html')
    .option('--fresh', 'forget what an earlier demo did in this folder, and do every step again')
    .addOption(jsonOption())
    .addHelpText('after', examples('dino8 demo', 'dino8 demo --quick --images 100'))
    .action(async ({ quick, out, json, ...options }) => {
      keepsOnInterruption(out);
      const results = await compress({
        ...options,
        ...work(),
        checkpoint: bundledModel(),
        dataset: bundledValidation(),
        calibration: bundledCalibration(),
        output: out,
        command: commandLine(),
        title: 'dino8: GroundingDINO in 8 bits',
        qat: quick ? undefined : TRAINING,
      });
      if (json) return printJson(results);
      printResults(results, out);
    });
