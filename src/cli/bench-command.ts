import { basename, extname } from 'node:path';
import { Command } from '@commander-js/extra-typings';
import { UsageError } from '../base/errors.ts';
import { megabytes, milliseconds, percent, threadsInWords } from '../base/format.ts';
import type { Spread } from '../base/statistics.ts';
import type { ModelProfile } from '../evaluate/model-profile.ts';
import { BENCH_DEFAULTS, type BenchedModel, type BenchResult, bench } from '../pipeline/bench-step.ts';
import { deviceOption } from './device-option.ts';
import { examples } from './examples.ts';
import { interruption } from './interruption.ts';
import { maxPixelsOption } from './max-pixels-option.ts';
import { notice } from './notices.ts';
import { print, printJson } from './output.ts';
import { addPhraseOptions, phrasesOf } from './phrase-options.ts';
import { work } from './progress-line.ts';
import { emaOption, jsonOption, threadsOption, tokenizerOption, wholeNumber } from './shared-options.ts';
import { table } from './table.ts';

/** `dino8 bench` */
export const benchCommand = () =>
  addPhraseOptions(
    new Command('bench')
      .description(
        'Time models beside each other on one image: in turns, each time in a process of its own, so that what else the machine does meets all of them. The first model is the one that the others are compared with.',
      )
      .argument('<image>', 'a picture')
      .argument('<models...>', 'ONNX files that dino8 wrote, folders that it wrote, or checkpoints'),
  )
    .option('--rounds <count>', 'number of processes of each model', wholeNumber('--rounds'), BENCH_DEFAULTS.rounds)
    .option(
      '--runs <count>',
      'number of timed runs in each process, after a few that are not timed',
      wholeNumber('--runs'),
      BENCH_DEFAULTS.runs,
    )
    .option(
      '--profile',
      "also say where the time of each model goes, by module and by operator, and how near it is to this machine's peak",
    )
    .addOption(deviceOption())
    .addOption(emaOption())
    .addOption(tokenizerOption())
    .addOption(threadsOption())
    .addOption(maxPixelsOption())
    .addOption(jsonOption())
    .addHelpText(
      'after',
      examples(
        'dino8 bench assets/shapes/val/000082.jpg nano.onnx nano.int8.onnx --phrases "white star, orange ring" --threads 1',
        'dino8 bench assets/shapes/val/000082.jpg nano.int8.onnx --phrases "white star, orange ring" --rounds 1 --profile',
      ),
    )
    .action(async (image, models, { json, phrases: list, phrase, phrasesFile, ...options }) => {
      if (extname(image).toLowerCase() === '.onnx')
        throw new UsageError(`${image} is a model; name the picture that the models are timed on before them.`);
      const phrases = await phrasesOf({ phrases: list, phrase, phrasesFile });
      if (phrases === undefined)
        throw new UsageError('A detector needs phrases; give --phrases, --phrase or --phrases-file.');
      const progress = json ? { signal: interruption(), onNotice: notice } : work();
      const result = await bench({ ...options, ...progress, image, models, phrases });
      if (json) return printJson(result);
      printBench(result);
    });

const range = ({ median, lowest, highest }: Spread, text: (value: number) => string) =>
  `${text(median)} (${text(lowest)}–${text(highest)})`;

const HEADING = ['model', 'time of a run', 'time / first', 'peak memory', 'load', 'file'];

function rowOf(
  { model, seconds, ratio, isDistinct, peakMemoryBytes, loadSeconds, bytes }: BenchedModel,
  nameOf: (path: string) => string,
): string[] {
  const compared = ratio && `${range(ratio, (value) => value.toFixed(2))}${isDistinct ? '' : ' ?'}`;
  return [
    nameOf(model),
    range(seconds, milliseconds),
    compared ?? '',
    megabytes(peakMemoryBytes),
    milliseconds(loadSeconds.median),
    megabytes(bytes),
  ];
}

/** Prints the figures of each model, and what they mean. */
function printBench({ models, rounds, runs, threads, peak }: BenchResult): void {
  // Models of one name in several folders are told apart by their paths.
  const isUnique = new Set(models.map(({ model }) => basename(model))).size === models.length;
  const nameOf = (path: string) => (isUnique ? basename(path) : path);
  print(
    table(
      HEADING,
      models.map((model) => rowOf(model, nameOf)),
    ),
  );
  print(
    `Medians of ${rounds} processes of ${runs} runs each, with ${threadsInWords(threads)}; in brackets the lowest and the highest of the ${rounds}.`,
  );
  if (models.some(({ isDistinct }) => isDistinct === false))
    print(
      rounds === 1
        ? '?: one process of each model does not tell whether the difference is chance; give more --rounds.'
        : '?: the processes do not agree on which model is faster; the difference may be chance.',
    );
  if (!peak) return;
  for (const { model, profile } of models) if (profile) printProfile(nameOf(model), profile);
  const rate = (multiplyAdds: number) => `${(multiplyAdds / 1e9).toFixed(0)} billion`;
  print(
    `\nof peak: the time that the multiply-adds would take at the peak of this machine, which is ${rate(peak.float)} multiply-adds a second in floats and ${rate(peak.integer)} in INT8 (the fastest products of 1024x1024 matrices), divided by the time that they take. A profile makes a run a little slower.`,
  );
}

/** Operators that are listed. */
const MAX_OPERATORS = 12;

/** Prints where the time of a model goes. */
function printProfile(name: string, { modules, operators, total }: ModelProfile): void {
  const rows = [...modules, total].map((row) => [
    row.name,
    milliseconds(row.seconds),
    percent(row.seconds, total.seconds),
    `${(row.multiplyAdds / 1e9).toFixed(2)} G`,
    percent(row.integerMultiplyAdds, row.multiplyAdds),
    percent(row.ofPeak, 1),
  ]);
  print(`\n${table([`modules of ${name}`, 'time', 'share', 'multiply-adds', 'in INT8', 'of peak'], rows)}`);
  const others = operators.slice(MAX_OPERATORS);
  const rest = {
    operator: `${others.length} others`,
    nodes: others.reduce((sum, { nodes }) => sum + nodes, 0),
    seconds: others.reduce((sum, { seconds }) => sum + seconds, 0),
  };
  const shown = [...operators.slice(0, MAX_OPERATORS), ...(others.length > 0 ? [rest] : [])];
  const times = shown.map(({ operator, nodes, seconds }) => [
    operator,
    `${nodes}`,
    milliseconds(seconds),
    percent(seconds, total.seconds),
  ]);
  print(`\n${table([`operators of ${name}`, 'nodes', 'time', 'share'], times)}`);
}
