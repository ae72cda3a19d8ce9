import { Command, Option } from 'commander';
import { UsageError } from '../base/errors.ts';
import { sizeOf } from '../base/files.ts';
import { type ModelPackage, readPackage, writePackage } from '../models/package/package.ts';
import { applyRecipe } from '../pipeline/apply-recipe.ts';
import { PLACEMENTS, type Placement, type TreatmentCounts } from '../quant/quantize.ts';
import { bundledRecipes, DEFAULT_RECIPE, type Recipe, readRecipe } from '../quant/recipe.ts';
import { assignTreatments } from '../quant/targets.ts';
import { addCalibrationOptions, type CalibrationSource, findCalibration } from './calibration-source.ts';
import { megabytes, print, printJson, table, work } from './terminal.ts';

interface Options extends CalibrationSource {
  recipe: string;
  output?: string;
  target: Placement;
  explain?: true;
  json?: true;
}

export function quantizeCommand(): Command {
  const command = new Command('quantize')
    .description('Make a model INT8 by a recipe.')
    .argument('<model>', 'an ONNX file that dino8 wrote, or a Hugging Face folder')
    .option(
      '-o, --output <path>',
      'what to write: one file if it ends in .onnx, else a folder as transformers.js reads it',
    )
    .option('--recipe <recipe>', `a bundled recipe (${bundledRecipes().join(', ')}) or a YAML file`, DEFAULT_RECIPE);
  return addCalibrationOptions(command)
    .addOption(
      new Option('--target <runtime>', 'what the model is to run in').choices([...PLACEMENTS]).default(PLACEMENTS[0]),
    )
    .option('--explain', 'print what the recipe makes of every layer, and by which rule; -o is not needed then')
    .option('--json', 'print the result as JSON')
    .addHelpText(
      'after',
      '\nExamples:\n  $ dino8 quantize tiny.onnx --recipe dynamic -o tiny.int8.onnx\n  $ dino8 quantize tiny.onnx --ranges ranges.json -o tiny.int8.onnx\n  $ dino8 quantize tiny.onnx --recipe mine.yaml --explain',
    )
    .action(async (model: string, options: Options) => {
      const recipe = await readRecipe(options.recipe);
      const source = await readPackage(model);
      if (options.explain) explain(source, recipe, options);
      if (options.output === undefined) {
        if (options.explain) return;
        throw new UsageError('Name what to write with -o, or ask for an explanation of the recipe with --explain.');
      }
      if (options.target === 'tensorrt') noteDynamic(source, recipe);
      const { counts } = await quantizePackage(source, recipe, options.output, options, options.target);
      const bytes = await sizeOf(options.output);
      if (options.json) return printJson({ output: options.output, bytes, recipe: recipe.name, layers: counts });
      print(
        `${options.output}: ${megabytes(bytes)}; ${counts.static} layers static, ${counts.dynamic} dynamic, ${counts.weights} stored as int8, ${counts.float} float`,
      );
    });
}

/** What becomes of a recipe's dynamic parts where there is no dynamic quantization. */
function noteDynamic(source: ModelPackage, recipe: Recipe): void {
  const dynamic = assignTreatments(source.model, recipe).filter(({ treatment }) => treatment === 'dynamic').length;
  if (dynamic > 0)
    process.stderr.write(
      `dino8: ${dynamic} layers that are dynamic in ${recipe.name} stay float, as TensorRT has no such.\n`,
    );
}

function explain(source: ModelPackage, recipe: Recipe, { json }: Options): void {
  const rows = assignTreatments(source.model, recipe).map(({ path, node, treatment, weights, rule }) => ({
    module: path,
    operator: node.opType,
    treatment,
    bits: treatment === 'float' ? 32 : weights.bits,
    rule: rule ? recipe.rules.indexOf(rule) + 1 : undefined,
  }));
  if (json) {
    printJson(rows);
    return;
  }
  print(
    table(
      ['module', 'operator', 'treatment', 'bits', 'by rule'],
      rows.map(({ module, operator, treatment, bits, rule }) => [
        module,
        operator,
        treatment,
        `${bits}`,
        `${rule ?? '–'}`,
      ]),
      ['left', 'left', 'left', 'right', 'right'],
    ),
  );
}

/** Calibrates if the recipe needs it, quantizes, and writes the model. */
export async function quantizePackage(
  source: ModelPackage,
  recipe: Recipe,
  output: string,
  calibration: CalibrationSource,
  placement?: Placement,
): Promise<{ counts: TreatmentCounts }> {
  const { model, counts } = await applyRecipe(source, recipe, {
    ...work(),
    ...(await findCalibration(source, calibration)),
    placement,
    onLeftOut: (technique) =>
      process.stderr.write(`dino8: ${technique} is left out, since it needs images; name some with --calibration.\n`),
  });
  await writePackage({ ...source, model }, output);
  return { counts };
}
