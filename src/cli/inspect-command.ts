import { Command } from '@commander-js/extra-typings';
import { megabytes, milliseconds, percent } from '../base/format.ts';
import type { Inspection, ModuleCost } from '../evaluate/inspect.ts';
import type { FixedPrompt } from '../models/fixed-prompt.ts';
import { BLANK_TOKENS } from '../pipeline/blank-inputs.ts';
import { INSPECT_DEFAULTS, inspect } from '../pipeline/inspect-step.ts';
import type { PlanSummary } from '../quant/plan-summary.ts';
import { examples } from './examples.ts';
import { interruption } from './interruption.ts';
import { maxPixelsOption } from './max-pixels-option.ts';
import { notice } from './notices.ts';
import { print, printJson } from './output.ts';
import { addPictureOptions, separatePictures, shapeOption } from './picture-options.ts';
import {
  emaOption,
  jsonOption,
  overwriteOption,
  threadsOption,
  tokenizerOption,
  wholeNumber,
} from './shared-options.ts';
import { table } from './table.ts';

/** `dino8 inspect` */
export const inspectCommand = () =>
  addPictureOptions(
    new Command('inspect')
      .description(
        'List the parameters, the multiply-adds and the precision of each module of a model, with --profile also its time, and the parts that lose most accuracy in INT8.',
      )
      .argument('<model>', 'any ONNX file, a folder that dino8 wrote, or a checkpoint')
      .option(
        '--depth <count>',
        'group modules by the first <count> segments of their path, at most 64',
        wholeNumber('--depth'),
        INSPECT_DEFAULTS.depth,
      )
      .option(
        '--tokens <count>',
        `count the multiply-adds for a prompt of this many tokens (default: ${BLANK_TOKENS})`,
        wholeNumber('--tokens'),
      )
      .addOption(shapeOption())
      .option(
        '--profile <input>',
        'run the model on this image, or on this file of arrays, and measure the time of each module',
      ),
  )
    .option('--report <file>', 'write tables and charts as one HTML file')
    .addOption(emaOption())
    .addOption(tokenizerOption())
    .addOption(threadsOption())
    .addOption(maxPixelsOption())
    .addOption(overwriteOption())
    .addOption(jsonOption())
    .addHelpText(
      'after',
      examples(
        'dino8 inspect assets/nano',
        'dino8 inspect assets/nano --profile assets/shapes/val/000082.jpg --depth 4 --report nano.html',
      ),
    )
    .action(async (model, { json, shape, ...given }) => {
      const { pictures, others: options } = separatePictures(given);
      const { inputs, prompts, ...inspection } = await inspect({
        ...options,
        model,
        shapes: shape,
        pictures,
        signal: interruption(),
        onNotice: notice,
      });
      if (json) return printJson({ ...inspection, prompts });
      print(moduleTable(inspection));
      if (inspection.sensitive.length > 0) print(`\n${sensitiveTable(inspection)}`);
      const sizes = Object.entries(inputs).map(([name, shape]) => `${name} ${shape.join('x')}`);
      print(
        `Work is counted for inputs of these sizes: ${sizes.join(', ')}.${options.report === undefined ? '' : ` The report is ${options.report}.`}`,
      );
      if (prompts.length > 0) print(promptSentences(prompts));
      if (inspection.plan) print(planSentences(inspection.plan));
      if (inspection.uncounted > 0)
        print(`${inspection.uncounted} matrix products have unknown shapes and are not counted.`);
    });

/** The names of float layers that the sentence lists. */
const MAX_FLOAT = 12;

/** The phrases of a model for fixed ones, a line for each prompt that has a name. */
function promptSentences(prompts: readonly FixedPrompt[]): string {
  const lines = prompts.map(({ name, phrases }) => {
    const list = phrases.join(', ');
    return name === undefined ? `It is made for the phrases ${list}.` : `  ${name}: ${list}`;
  });
  const isNamed = prompts.some(({ name }) => name !== undefined);
  return (isNamed ? ['It is made for these prompts, of which --prompt chooses one:', ...lines] : lines).join('\n');
}

function planSentences({ recipe, target, layers, techniques, floatLayers }: PlanSummary): string {
  const counts = `${layers.static} layers are static, ${layers.dynamic} dynamic, ${layers['weight-only']} weight-only, ${layers.float} float`;
  const applied = techniques.length > 0 ? `; techniques: ${techniques.join(', ')}` : '';
  const listed = floatLayers.slice(0, MAX_FLOAT).map(({ path, count }) => (count > 1 ? `${path} (${count})` : path));
  const others = floatLayers.length - listed.length;
  const names = [...listed, ...(others > 0 ? [`and ${others} more`] : [])].join(', ');
  return `It was quantized by the recipe ${recipe} for ${target}: ${counts}${applied}.${names === '' ? '' : ` Float layers: ${names}.`}`;
}

function moduleTable({ modules, total }: Inspection): string {
  const isTimed = total.seconds !== undefined;
  const rows = [...modules, total].map((module) => [
    module.path,
    `${(module.parameters / 1e6).toFixed(3)} M`,
    megabytes(module.bytes),
    `${(module.multiplyAdds / 1e9).toFixed(3)} G`,
    integerShare(module),
    ...(isTimed ? [milliseconds(module.seconds ?? 0), percent(module.seconds ?? 0, total.seconds ?? 0)] : []),
  ]);
  const heading = ['module', 'parameters', 'stored', 'multiply-adds', 'in INT8', ...(isTimed ? ['time', 'share'] : [])];
  return table(heading, rows);
}

function sensitiveTable({ sensitive }: Inspection): string {
  const rows = sensitive.map((part) => [part.path, integerShare(part), part.reason]);
  return table(['sensitive part', 'in INT8', 'reason'], rows, ['left', 'right', 'left']);
}

const integerShare = ({ integerMultiplyAdds, multiplyAdds }: ModuleCost) => percent(integerMultiplyAdds, multiplyAdds);
