import { Command, Option } from 'commander';
import { UsageError } from '../base/errors.ts';
import { sizeOf } from '../base/files.ts';
import { type ModelPackage, readPackage, writePackage } from '../models/package/package.ts';
import { applyRecipe } from '../pipeline/apply-recipe.ts';
import { type PlanCounts, planQuantization, type QuantizationPlan } from '../quant/plan.ts';
import { bundledRecipes, DEFAULT_RECIPE, type Recipe, readRecipe } from '../quant/recipe.ts';
import { TARGET_NAMES, TARGETS } from '../quant/targets/targets.ts';
import { addCalibrationOptions, type CalibrationSource, findCalibration, printNotice } from './calibration-source.ts';
import { megabytes, print, printJson, table, work } from './terminal.ts';

interface Options extends CalibrationSource {
  recipe: string;
  output?: string;
  target: string;
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
      new Option(
        '--target <runtime>',
        `the runtime that the model is for (${TARGETS.map(({ name, description }) => `${name}: ${description}`).join('; ')})`,
      )
        .choices([...TARGET_NAMES])
        .default(TARGET_NAMES[0]),
    )
    .option('--explain', 'print what the recipe makes of every layer, and by which rule; -o is not needed then')
    .option('--json', 'print the result as JSON')
    .addHelpText(
      'after',
      '\nExamples:\n  $ dino8 quantize tiny.onnx --recipe dynamic -o tiny.int8.onnx\n  $ dino8 quantize tiny.onnx --statistics statistics.json -o tiny.int8.onnx\n  $ dino8 quantize tiny.onnx --recipe mine.yaml --explain',
    )
    .action(async (model: string, options: Options) => {
      const recipe = await readRecipe(options.recipe);
      const source = await readPackage(model);
      for (const notice of recipe.notices ?? []) printNotice(notice);
      if (options.explain) explain(planQuantization(source.model, recipe, { target: options.target }), options);
      if (options.output === undefined) {
        if (options.explain) return;
        throw new UsageError('Name what to write with -o, or ask for an explanation of the recipe with --explain.');
      }
      const { counts } = await quantizePackage(source, recipe, options.output, options, options.target);
      const bytes = await sizeOf(options.output);
      if (options.json) return printJson({ output: options.output, bytes, recipe: recipe.name, layers: counts });
      print(
        `${options.output}: ${megabytes(bytes)}; ${counts.static} layers static, ${counts.dynamic} dynamic, ${counts['weight-only']} stored as int8, ${counts.float} float`,
      );
    });
}

/** Says how many layers the target leaves float although the recipe quantizes them, and why. */
function noteRefusals({ entries, target }: QuantizationPlan): void {
  const reasons = new Map<string, number>();
  for (const { refusal } of entries) if (refusal !== undefined) reasons.set(refusal, (reasons.get(refusal) ?? 0) + 1);
  for (const [reason, count] of reasons)
    process.stderr.write(`dino8: ${count} nodes stay float for ${target.name}: ${reason}.\n`);
}

function explain({ entries }: QuantizationPlan, { json }: Options): void {
  const rows = entries.map(({ path, node, operator, operands, mode, weight, rule, refusal }) => ({
    module: operands === 'weights' ? path : node.name,
    operator,
    inputs: operands,
    treatment: mode,
    bits: mode === 'float' ? 32 : (weight?.scheme.bits ?? 8),
    rule: rule?.number,
    refusal,
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
  target?: string,
): Promise<{ counts: PlanCounts }> {
  const { model, counts, plan } = await applyRecipe(source, recipe, {
    ...work(),
    ...(await findCalibration(source, calibration)),
    target,
    onLeftOut: (technique) =>
      process.stderr.write(`dino8: ${technique} is left out, since it needs images; name some with --calibration.\n`),
  });
  noteRefusals(plan);
  await writePackage({ ...source, model }, output);
  return { counts };
}
