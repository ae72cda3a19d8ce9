import { Command } from '@commander-js/extra-typings';
import { UsageError } from '../base/errors.ts';
import { megabytes } from '../base/format.ts';
import { type ExplainedLayer, explainRecipe, quantize } from '../pipeline/quantize-step.ts';
import { DEFAULT_RECIPE } from '../quant/recipe.ts';
import { addReadingOptions, separateDataset } from './dataset-options.ts';
import { examples } from './examples.ts';
import { notice } from './notices.ts';
import { print, printJson } from './output.ts';
import { addPhraseOptions, phrasesOf } from './phrase-options.ts';
import { addPictureOptions, separatePictures } from './picture-options.ts';
import { work } from './progress-line.ts';
import {
  addCalibrationOptions,
  emaOption,
  jsonOption,
  overwriteOption,
  recipeForModelOption,
  seedOption,
  statisticsOf,
  targetOption,
  threadsOption,
  tokenizerOption,
} from './shared-options.ts';
import { table } from './table.ts';
import { refuseUnusedOptions } from './unused-options.ts';

/** The options that decide what `--explain` prints. */
const EXPLAINED_BY = ['recipe', 'target', 'ema', 'tokenizer', 'threads'];

/** `dino8 quantize` */
export const quantizeCommand = () =>
  addPictureOptions(
    addCalibrationOptions(
      addPhraseOptions(
        addReadingOptions(
          new Command('quantize')
            .description('Make an INT8 model by a recipe, which says how each layer is quantized.')
            .argument('<model>', 'the float model: any ONNX file, or a checkpoint')
            .option(
              '-o, --output <path>',
              'the model to write: one file if it ends in .onnx, otherwise a folder as transformers.js reads it; needed unless --explain is given',
            )
            .addOption(recipeForModelOption('the recipe that says how each layer is quantized', DEFAULT_RECIPE)),
        ),
      ),
    ).addOption(seedOption()),
  )
    .addOption(targetOption('the runtime that the model is made for'))
    .option('--explain', 'print the precision of each layer and the number of the rule that decided it')
    .addOption(emaOption())
    .addOption(tokenizerOption())
    .addOption(threadsOption())
    .addOption(overwriteOption())
    .addOption(jsonOption())
    .addHelpText(
      'after',
      examples(
        'dino8 quantize assets/nano --recipe dynamic -o nano.int8.onnx',
        'dino8 quantize assets/nano --calibration assets/shapes/calib -o nano.int8.onnx',
        'dino8 quantize assets/nano --recipe recipes/full.yaml --explain',
      ),
    )
    .action(async (model, { explain, json, output, ranges, ...given }, command) => {
      const { pictures, others } = separatePictures(given);
      const { calibration, others: rest } = separateDataset(others);
      const { phrase, phrases, phrasesFile, ...options } = rest;
      const calibrationPhrases = await phrasesOf({ phrase, phrases, phrasesFile });
      if (output === undefined) {
        if (!explain)
          throw new UsageError('Name the model to write with -o, or print what the recipe does with --explain.');
        refuseUnusedOptions(command, ['explain', 'json', ...EXPLAINED_BY], 'with --explain alone');
        const { recipe, target, ema, tokenizer, threads } = options;
        const layers = await explainRecipe({ model, recipe, target, ema, tokenizer, threads, onNotice: notice });
        if (json) printJson(layers);
        else print(layerTable(layers));
        return;
      }
      const statistics = statisticsOf({ statistics: options.statistics, ranges });
      const { explained, ...result } = await quantize({
        ...options,
        model,
        output,
        calibration,
        calibrationPhrases,
        pictures,
        statistics,
        ...work(),
      });
      if (json) return printJson({ ...result, ...(explain && { explained }) });
      if (explain) print(layerTable(explained));
      const { layers } = result;
      print(
        `${output}: ${megabytes(result.bytes)}; ${layers.static} layers are static, ${layers.dynamic} dynamic, ${layers['weight-only']} weight-only, ${layers.float} float.`,
      );
      print(`Nodes that stay float: ${floatOperators(result.floatOperators)}.`);
    });

/** Rows of the list of operators. */
const MAX_OPERATORS = 12;

function floatOperators(counts: Readonly<Record<string, number>>): string {
  const sorted = Object.entries(counts).toSorted(([, a], [, b]) => b - a);
  const shown = sorted.slice(0, MAX_OPERATORS).map(([operator, count]) => `${count} ${operator}`);
  const others = sorted.length - shown.length;
  return [...shown, ...(others > 0 ? [`and ${others} other operators`] : [])].join(', ') || 'none';
}

function layerTable(layers: readonly ExplainedLayer[]): string {
  return table(
    ['module', 'operator', 'precision', 'bits', 'by rule'],
    layers.map(({ module, operator, treatment, bits, rule }) => [
      module,
      operator,
      treatment,
      `${bits}`,
      `${rule ?? '–'}`,
    ]),
    ['left', 'left', 'left', 'right', 'right'],
  );
}
