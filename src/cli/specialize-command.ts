import { Command } from '@commander-js/extra-typings';
import { megabytes } from '../base/format.ts';
import { specializeModel } from '../pipeline/specialize-step.ts';
import { examples } from './examples.ts';
import { interruption } from './interruption.ts';
import { notice } from './notices.ts';
import { print, printJson } from './output.ts';
import { addPhraseOptions, phrasesOf } from './phrase-options.ts';
import { addPromptsOptions, noteNames, promptOption, promptsOf } from './prompt-options.ts';
import {
  emaOption,
  jsonOption,
  overwriteOption,
  threadsOption,
  tokenizerOption,
  wholeNumber,
} from './shared-options.ts';

/** `dino8 specialize` */
export const specializeCommand = () =>
  addPromptsOptions(
    addPhraseOptions(
      new Command('specialize')
        .description(
          'Make a model for one size of image, for fixed phrases, or for both. What depends on them alone becomes a constant. With a size the model is faster and its file larger; with phrases it has no text encoder, so that it is much smaller. The boxes stay the same.',
        )
        .argument('<model>', 'an ONNX file or folder that dino8 wrote, quantized or not, or a checkpoint')
        .requiredOption('-o, --output <path>', 'the model to write: one file if it ends in .onnx, otherwise a folder')
        .option('--height <pixels>', 'height of the prepared image in pixels (default: any)', wholeNumber('--height'))
        .option('--width <pixels>', 'width of the prepared image in pixels (default: any)', wholeNumber('--width'))
        .option('--tokens <count>', 'length of the prompt in tokens (default: any length)', wholeNumber('--tokens'))
        .option('--batch <count>', 'number of images of a run', wholeNumber('--batch'), 1)
        .option('--padding', 'keep the mask of padded pixels as an input (default: every pixel counts as image)'),
    ),
  )
    .addOption(promptOption())
    .addOption(emaOption())
    .addOption(tokenizerOption())
    .addOption(threadsOption())
    .addOption(overwriteOption())
    .addOption(jsonOption())
    .addHelpText(
      'after',
      examples(
        'dino8 specialize assets/nano --height 192 --width 256 -o nano.192x256.onnx',
        'dino8 specialize assets/nano --phrases "red circle, blue square" -o circles.onnx && dino8 detect assets/shapes/val/000082.jpg --model circles.onnx',
        'dino8 specialize assets/nano --prompts "round=red circle, orange ring" --prompts "pointed=white star" -o shapes.onnx && dino8 detect assets/shapes/val/000082.jpg --model shapes.onnx --prompt pointed',
      ),
    )
    .action(async (model, { json, phrases, phrase, phrasesFile, prompts, promptsFile, ...options }) => {
      noteNames(phrases);
      const result = await specializeModel({
        ...options,
        phrases: await phrasesOf({ phrases, phrase, phrasesFile }),
        prompts: await promptsOf({ prompts, promptsFile }),
        model,
        signal: interruption(),
        onNotice: notice,
      });
      if (json) return printJson(result);
      const { output, bytes, nodes } = result;
      print(`${output}: ${megabytes(bytes)}; ${nodes.after} nodes, of ${nodes.before} before.`);
    });
