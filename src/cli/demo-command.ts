import { join } from 'node:path';
import { Command } from '@commander-js/extra-typings';
import { megabytes } from '../base/format.ts';
import { bundledModel } from '../data/bundled.ts';
import { demo } from '../pipeline/demo-step.ts';
import { NEEDED_DISK } from '../pipeline/measure-published-size.ts';
import { describePublishedSize, type PublishedSize } from '../report/published-size.ts';
import { reportedCommandLine } from './command-line.ts';
import { printResults } from './compress-command.ts';
import { examples } from './examples.ts';
import { keepsOnInterruption, removesAtEnd } from './interruption.ts';
import { notice } from './notices.ts';
import { print, printJson } from './output.ts';
import { work } from './progress-line.ts';
import { jsonOption, overwriteOption, threadsOption, wholeNumber } from './shared-options.ts';
import { table } from './table.ts';

/** `dino8 demo` */
export const demoCommand = () =>
  new Command('demo')
    .description(
      'Run dino8 compress on the bundled model and images (build, quantize, train, score, measure), measure what 8 bits bring at the published size, and write a report. It takes less than four minutes on two cores that do nothing else.',
    )
    .option('--quick', 'leave out the quantization-aware training, which is the longest part')
    .option(
      '--images <count>',
      'score only the first <count> of the 500 images (default: all)',
      wholeNumber('--images'),
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
    .action(async ({ out, json, ...options }) => {
      // Where the data is not installed, that is all there is to say.
      bundledModel();
      keepsOnInterruption(out);
      notice(
        `The demo takes less than four minutes on two cores that do nothing else, and for some of that time ${(NEEDED_DISK / 1e9).toFixed(1)} GB of disk in ${out}, which it frees at the end.`,
      );
      const results = await demo({
        ...options,
        ...work(),
        output: out,
        command: reportedCommandLine(),
        onScratch: removesAtEnd,
      });
      if (json) return printJson(results);
      printResults(results, out);
      if (results.publishedSize) printPublishedSize(results.publishedSize);
      print(
        '\nTo do this with your own model and images: dino8 compress CHECKPOINT DATASET -o compressed/\n(CHECKPOINT is a Hugging Face folder or a file of weights, DATASET a folder of labelled images.)',
      );
    });

function printPublishedSize(result: PublishedSize): void {
  const [reference] = result.variants;
  const rows = result.variants.map(({ name, fileBytes, peakMemoryBytes, medianSeconds }) => {
    const ratio = (part: number, whole = part) => `${(whole / part).toFixed(2)}x`;
    return [
      name,
      `${megabytes(fileBytes)} ${ratio(fileBytes, reference?.fileBytes)}`,
      `${megabytes(peakMemoryBytes)} ${ratio(peakMemoryBytes, reference?.peakMemoryBytes)}`,
      `${medianSeconds.toFixed(2)} s ${ratio(medianSeconds, reference?.medianSeconds)}`,
    ];
  });
  print(`\n${describePublishedSize(result)}`);
  print(table(['', 'file', 'peak memory', 'median latency'], rows));
}
