import { Command } from '@commander-js/extra-typings';
import { convert } from '../pipeline/convert-step.ts';
import { examples } from './examples.ts';
import { megabytes } from './format.ts';
import { interruption } from './interruption.ts';
import { notice } from './notices.ts';
import { print, printJson } from './output.ts';
import { jsonOption, threadsOption } from './shared-options.ts';

/** `dino8 convert` */
export const convertCommand = () =>
  new Command('convert')
    .description('Build the ONNX model of a checkpoint in FP32, with its tokenizer and preprocessing inside.')
    .argument(
      '<checkpoint>',
      'a Hugging Face folder with config.json and model.safetensors (or its shards), whose preprocessor_config.json or processor_config.json is honoured, or an original .pth with tokenizer.json and tokenizer_config.json beside it',
    )
    .requiredOption('-o, --output <path>', 'the model to write: one file if it ends in .onnx, otherwise a folder')
    .option(
      '--combined',
      'write a folder with one graph, as transformers.js reads it, in place of text.onnx and detect.onnx',
    )
    .addOption(threadsOption())
    .addOption(jsonOption())
    .addHelpText(
      'after',
      examples('dino8 convert assets/nano -o nano.onnx', 'dino8 convert assets/nano -o web/ --combined'),
    )
    .action(async (checkpoint, { output, combined, threads, json }) => {
      const result = await convert({
        checkpoint,
        output,
        layout: combined ? 'combined' : 'halves',
        threads,
        signal: interruption(),
        onNotice: notice,
      });
      if (json) return printJson(result);
      print(`${output}: ${megabytes(result.bytes)}`);
    });
