import { Command } from 'commander';
import { sizeOf } from '../base/files.ts';
import { readPackage, writePackage } from '../models/package/package.ts';
import { megabytes, print, printJson } from './terminal.ts';

export function convertCommand(): Command {
  return new Command('convert')
    .description('Build the ONNX model of a checkpoint, FP32, with its tokenizer and settings inside.')
    .argument(
      '<checkpoint>',
      'a Hugging Face folder with config.json and model.safetensors (or its shards), or an original .pth with tokenizer.json and tokenizer_config.json beside it',
    )
    .requiredOption('-o, --output <path>', 'what to write: one file if it ends in .onnx, else a folder')
    .option('--combined', 'in a folder, one graph as transformers.js reads it, in place of text.onnx and detect.onnx')
    .option('--json', 'print the result as JSON')
    .addHelpText(
      'after',
      '\nExamples:\n  $ dino8 convert grounding-dino-tiny/ -o tiny.onnx\n  $ dino8 convert groundingdino_swint_ogc.pth -o tiny.onnx\n  $ dino8 convert grounding-dino-tiny/ -o web/ --combined',
    )
    .action(async (checkpoint: string, options: { output: string; combined?: true; json?: true }) => {
      const model = await readPackage(checkpoint);
      await writePackage(model, options.output, options.combined ? 'combined' : 'halves');
      const bytes = await sizeOf(options.output);
      if (options.json) return printJson({ output: options.output, bytes });
      print(`${options.output}: ${megabytes(bytes)}`);
    });
}
