import { Command } from '@commander-js/extra-typings';
import { specializeModel } from '../pipeline/specialize-step.ts';
import { examples } from './examples.ts';
import { megabytes } from './format.ts';
import { interruption } from './interruption.ts';
import { notice } from './notices.ts';
import { print, printJson } from './output.ts';
import { emaOption, jsonOption, threadsOption, tokenizerOption, wholeNumber } from './shared-options.ts';

/** `dino8 specialize` */
export const specializeCommand = () =>
  new Command('specialize')
    .description(
      'Make a model with static shapes for one size of image. Everything that depends on the size alone becomes a constant, so the model is faster and its file larger.',
    )
    .argument('<model>', 'an ONNX file or folder that dino8 wrote, quantized or not, or a checkpoint')
    .requiredOption('-o, --output <path>', 'the model to write: one file if it ends in .onnx, otherwise a folder')
    .requiredOption('--height <pixels>', 'height of the prepared image in pixels', wholeNumber('--height'))
    .requiredOption('--width <pixels>', 'width of the prepared image in pixels', wholeNumber('--width'))
    .option('--tokens <count>', 'length of the prompt in tokens (default: any length)', wholeNumber('--tokens'))
    .option('--batch <count>', 'number of images of a run', wholeNumber('--batch'), 1)
    .option('--padding', 'keep the mask of padded pixels as an input (default: every pixel counts as image)')
    .addOption(emaOption())
    .addOption(tokenizerOption())
    .addOption(threadsOption())
    .addOption(jsonOption())
    .addHelpText('after', examples('dino8 specialize assets/nano --height 192 --width 256 -o nano.192x256.onnx'))
    .action(async (model, { json, ...options }) => {
      const result = await specializeModel({ ...options, model, signal: interruption(), onNotice: notice });
      if (json) return printJson(result);
      const { output, bytes, nodes } = result;
      print(`${output}: ${megabytes(bytes)}; ${nodes.after} nodes, of ${nodes.before} before.`);
    });
