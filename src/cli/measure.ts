import { availableParallelism } from 'node:os';
import { Command } from 'commander';
import { measure } from '../evaluate/measure.ts';
import { megabytes, milliseconds, print, printJson, wholeNumber, work } from './terminal.ts';

interface Options {
  phrases: string;
  runs: number;
  threads: number;
  json?: true;
}

export function measureCommand(): Command {
  return new Command('measure')
    .description('Time a model on one image and tell the peak memory of the process.')
    .argument('<model>', 'an ONNX file that dino8 wrote, or a Hugging Face folder')
    .argument('<image>', 'a JPEG, PNG or WebP file')
    .requiredOption('--phrases <list>', 'what to find, separated by commas')
    .option('--runs <count>', 'how often to run', wholeNumber('--runs'), 20)
    .option('--threads <count>', 'threads to run with', wholeNumber('--threads'), availableParallelism())
    .option('--json', 'print the result as JSON')
    .addHelpText('after', '\nExample:\n  $ dino8 measure tiny.int8.onnx street.jpg --phrases "person, forklift"')
    .action(async (model: string, image: string, options: Options) => {
      const { runs, threads } = options;
      const result = await measure(model, image, options.phrases, { ...(options.json ? {} : work()), runs, threads });
      if (options.json) return printJson(result);
      const fastest = milliseconds(Math.min(...result.runSeconds));
      print(
        `${milliseconds(result.medianSeconds)} median of ${runs} (fastest ${fastest}), ${megabytes(result.peakMemoryBytes)} peak, ${threads} threads`,
      );
    });
}
