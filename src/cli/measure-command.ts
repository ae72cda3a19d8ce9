import { Command } from '@commander-js/extra-typings';
import { MEASURE_DEFAULTS, measure } from '../pipeline/measure-step.ts';
import { examples } from './examples.ts';
import { megabytes, milliseconds } from './format.ts';
import { interruption } from './interruption.ts';
import { print, printJson } from './output.ts';
import { work } from './progress-line.ts';
import { jsonOption, threadsOption, wholeNumber } from './shared-options.ts';

/** `dino8 measure` */
export const measureCommand = () =>
  new Command('measure')
    .description('Measure the latency of a model on one image, and the peak memory of the process.')
    .argument('<model>', 'an ONNX file or folder that dino8 wrote, or a checkpoint')
    .argument('<image>', 'a JPEG, PNG or WebP file')
    .requiredOption('--phrases <list>', 'the phrases of the prompt, separated by commas or periods')
    .option(
      '--runs <count>',
      'number of timed runs, after a few that are not timed',
      wholeNumber('--runs'),
      MEASURE_DEFAULTS.runs as number, // the type of the option is a number, not this one
    )
    .addOption(threadsOption())
    .addOption(jsonOption())
    .addHelpText(
      'after',
      examples('dino8 measure assets/nano assets/shapes/val/000082.jpg --phrases "white star, orange ring"'),
    )
    .action(async (model, image, { json, ...options }) => {
      const progress = json ? { signal: interruption() } : work();
      const result = await measure({ ...options, model, image, ...progress });
      if (json) return printJson(result);
      const fastest = milliseconds(Math.min(...result.runSeconds));
      print(
        `${milliseconds(result.medianSeconds)} median of ${options.runs} runs (minimum ${fastest}), ${megabytes(result.peakMemoryBytes)} peak memory, ${result.threads} threads`,
      );
    });
