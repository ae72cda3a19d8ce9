import { Command } from 'commander';
import { UsageError } from '../base/errors.ts';
import { writeAtomic } from '../base/files.ts';
import { readImage } from '../data/image.ts';
import { Preprocessor } from '../data/preprocess.ts';
import { type Inspection, inspectModel, type ModuleCost } from '../evaluate/inspect.ts';
import { detectionOf } from '../models/family.ts';
import { type ModelPackage, readPackage } from '../models/package/package.ts';
import { renderInspection } from '../report/inspection-page.ts';
import type { Feeds } from '../runtime/session.ts';
import { megabytes, milliseconds, print, printJson, table, wholeNumber } from './terminal.ts';

interface Options {
  depth: number;
  tokens: number;
  profile?: string;
  report?: string;
  json?: true;
}

export function inspectCommand(): Command {
  return new Command('inspect')
    .description('What a model is made of: parameters, work, time and precision of each module, and what is sensitive.')
    .argument('<model>', 'an ONNX file or folder that dino8 wrote, or a checkpoint')
    .option('--depth <count>', 'segments of a module path that are told apart', wholeNumber('--depth'), 2)
    .option('--tokens <count>', 'length of the prompt', wholeNumber('--tokens'), 32)
    .option('--profile <image>', 'run it on this image and tell the share of time of each module')
    .option('--report <file>', 'write the tables and charts as one HTML file')
    .option('--json', 'print the result as JSON')
    .addHelpText(
      'after',
      '\nExamples:\n  $ dino8 inspect tiny.int8.onnx\n  $ dino8 inspect tiny.int8.onnx --profile street.jpg --depth 4 --report tiny.html',
    )
    .action(async (path: string, options: Options) => {
      const { depth, profile, tokens, report } = options;
      if (depth > 64) throw new UsageError(`--depth must be at most 64, not ${depth}.`);
      const source = await readPackage(path);
      const feeds =
        profile === undefined ? source.family.blankFeeds(source, { tokens }) : await feedsOf(source, profile, tokens);
      const result = await inspectModel(source, { feeds, depth, profile: profile !== undefined });
      if (report !== undefined) await writeAtomic(report, renderInspection(path, result));
      if (options.json) return printJson(result);
      print(moduleTable(result));
      print(sensitiveTable(result));
      const sizes = Object.entries(feeds).map(([name, { shape }]) => `${name} ${shape.join('x')}`);
      print(`Inputs: ${sizes.join(', ')}.${report === undefined ? '' : ` The report is ${report}.`}`);
      if (result.uncounted > 0) print(`${result.uncounted} products have unknown shapes and are not counted.`);
    });
}

async function feedsOf(source: ModelPackage, image: string, tokens: number): Promise<Feeds> {
  await using preprocessor = await Preprocessor.create(source.preprocessing);
  const detection = detectionOf(source);
  return detection.combinedFeeds(await preprocessor.prepare([await readImage(image)]), detection.blankPrompt(tokens));
}

function moduleTable({ modules, total }: Inspection): string {
  const isTimed = total.seconds !== undefined;
  const rows = [...modules, total].map((module) => [
    module.path,
    `${(module.parameters / 1e6).toFixed(3)} M`,
    megabytes(module.bytes),
    `${(module.multiplyAdds / 1e9).toFixed(3)} G`,
    integerShare(module),
    ...(isTimed ? [milliseconds(module.seconds ?? 0), percent(module.seconds ?? 0, total.seconds ?? 0)] : []),
  ]);
  const heading = ['module', 'parameters', 'stored', 'multiply-adds', 'in INT8', ...(isTimed ? ['time', 'share'] : [])];
  return table(heading, rows);
}

function sensitiveTable({ sensitive }: Inspection): string {
  const rows = sensitive.map((part) => [part.path, integerShare(part), part.reason]);
  return table(['sensitive', 'in INT8', 'why'], rows, ['left', 'right', 'left']);
}

const percent = (part: number, whole: number) => (whole > 0 ? `${((100 * part) / whole).toFixed(1)} %` : '–');
const integerShare = ({ integerMultiplyAdds, multiplyAdds }: ModuleCost) => percent(integerMultiplyAdds, multiplyAdds);
