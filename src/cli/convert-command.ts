import { Command } from '@commander-js/extra-typings';
import { megabytes } from '../base/format.ts';
import { convert } from '../pipeline/convert-step.ts';
import { examples } from './examples.ts';
import { interruption } from './interruption.ts';
import { notice } from './notices.ts';
import { print, printJson } from './output.ts';
import { emaOption, jsonOption, overwriteOption, threadsOption, tokenizerOption } from './shared-options.ts';

/** `dino8 convert` */
export const convertCommand = () =>
  new Command('convert')
    .description('Build the ONNX model of a checkpoint in FP32, with its tokenizer and preprocessing inside.')
    .argument(
      '<checkpoint>',
      'a Hugging Face folder with config.json and its weights (safetensors or pytorch_model.bin, or their shards), whose preprocessor_config.json or processor_config.json is honoured, or one file of weights of any name (PyTorch or safetensors, of the original repository, MMDetection or a training) with tokenizer.json and tokenizer_config.json beside it',
    )
    .requiredOption('-o, --output <path>', 'the model to write: one file if it ends in .onnx, otherwise a folder')
    .option(
      '--combined',
      'write a folder with one graph, as transformers.js reads it, in place of text.onnx and detect.onnx',
    )
    .addOption(emaOption())
    .addOption(tokenizerOption())
    .addOption(threadsOption())
    .addOption(overwriteOption())
    .addOption(jsonOption())
    .addHelpText(
      'after',
      examples(
        'dino8 convert assets/nano -o nano.onnx',
        'dino8 convert assets/nano -o web/ --combined',
        'dino8 convert checkpoint_best.pth --ema --tokenizer assets/nano -o best.onnx',
      ),
    )
    .action(async (checkpoint, { output, combined, ema, tokenizer, threads, overwrite, json }) => {
      const result = await convert({
        checkpoint,
        output,
        layout: combined ? 'combined' : 'halves',
        ema,
        tokenizer,
        threads,
        overwrite,
        signal: interruption(),
        onNotice: notice,
      });
      if (json) return printJson(result);
      print(`${output}: ${megabytes(result.bytes)}`);
    });
