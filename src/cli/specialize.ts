import { Command } from 'commander';
import { sizeOf } from '../base/files.ts';
import { sizesOf } from '../models/family.ts';
import { readPackage, writePackage } from '../models/package/package.ts';
import { specialize } from '../models/specialize.ts';
import { megabytes, print, printJson, wholeNumber } from './terminal.ts';

interface Options {
  output: string;
  height: number;
  width: number;
  tokens?: number;
  batch: number;
  padding?: true;
  json?: true;
}

export function specializeCommand(): Command {
  return new Command('specialize')
    .description('Make a model for one size of image: what depends on the size alone becomes constant.')
    .argument('<model>', 'an ONNX file or folder that dino8 wrote, quantized or not')
    .requiredOption('-o, --output <path>', 'the ONNX file (or folder) to write')
    .requiredOption('--height <pixels>', 'height of the prepared image', wholeNumber('--height'))
    .requiredOption('--width <pixels>', 'width of the prepared image', wholeNumber('--width'))
    .option('--tokens <count>', 'tokens of the prompt; any number if left out', wholeNumber('--tokens'))
    .option('--batch <count>', 'images at a time', wholeNumber('--batch'), 1)
    .option('--padding', 'keep the mask of padded pixels')
    .option('--json', 'print the result as JSON')
    .addHelpText(
      'after',
      '\nExample:\n  $ dino8 specialize tiny.int8.onnx --height 800 --width 1333 -o tiny.800x1333.onnx',
    )
    .action(async (path: string, options: Options) => {
      const source = await readPackage(path);
      const { batch, height, width, tokens: textLength, padding } = options;
      const model = await specialize(source.model, { batch, height, width, textLength, padding }, sizesOf(source));
      await writePackage({ ...source, model }, options.output);
      const [before, after] = [source.model.graph.node.length, model.graph.node.length];
      const bytes = await sizeOf(options.output);
      if (options.json) return printJson({ output: options.output, bytes, nodes: { before, after } });
      print(`${options.output}: ${megabytes(bytes)}; ${after} nodes of ${before}`);
    });
}
