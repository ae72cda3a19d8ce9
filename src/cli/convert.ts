import { stat } from 'node:fs/promises';
import { Command } from 'commander';
import { readPackage, writePackage } from '../model/package.ts';
import { megabytes, print, printJson } from './terminal.ts';

export function convertCommand(): Command {
  return new Command('convert')
    .description('Build the ONNX model of a checkpoint, FP32, with its tokenizer and settings inside.')
    .argument(
      '<checkpoint>',
      'a Hugging Face folder with config.json and model.safetensors (or its shards), or an original .pth with tokenizer.json and tokenizer_config.json beside it',
    )
    .requiredOption('-o, --output <file>', 'the ONNX file to write')
    .option('--json', 'print the result as JSON')
    .addHelpText(
      'after',
      '\nExamples:\n  $ dino8 convert grounding-dino-tiny/ -o tiny.onnx\n  $ dino8 convert groundingdino_swint_ogc.pth -o tiny.onnx',
    )
    .action(async (checkpoint: string, options: { output: string; json?: true }) => {
      const model = await readPackage(checkpoint);
      await writePackage(model, options.output);
      const { size } = await stat(options.output);
      if (options.json) return printJson({ output: options.output, bytes: size });
      print(`${options.output}: ${megabytes(size)}`);
    });
}
