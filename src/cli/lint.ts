import { Command, Option } from 'commander';
import { InputError } from '../base/errors.ts';
import { blankFeeds } from '../models/grounding-dino/blank-feeds.ts';
import { type ModelPackage, readPackage } from '../models/package/package.ts';
import { lintModel, type Unfused } from '../quant/lint.ts';
import { lintForTensorRt } from '../quant/placement/lint-tensorrt.ts';
import { PLACEMENTS, type Placement } from '../quant/quantize.ts';
import { kernelOptions } from '../runtime/kernels.ts';
import { milliseconds, print, printJson, table, wholeNumber } from './terminal.ts';

interface Options {
  tokens: number;
  target: Placement;
  json?: true;
}

export function lintCommand(): Command {
  return new Command('lint')
    .description('Tell which Q/DQ pairs of a model its runtime does not fuse, and what they cost; exit code 1 if any.')
    .argument('<model>', 'a quantized model that dino8 wrote')
    .addOption(
      new Option('--target <runtime>', 'ort-cpu: by running it; tensorrt: by its rules')
        .choices([...PLACEMENTS])
        .default(PLACEMENTS[0]),
    )
    .option('--tokens <count>', 'length of the prompt to run with', wholeNumber('--tokens'), 32)
    .option('--json', 'print the result as JSON')
    .addHelpText('after', '\nExamples:\n  $ dino8 lint tiny.int8.onnx\n  $ dino8 lint tiny.trt.onnx --target tensorrt')
    .action(async (path: string, options: Options) => {
      const source = await readPackage(path);
      if (options.target === 'tensorrt') lintRules(source, path, options);
      else await lintByRunning(source, path, options);
    });
}

function lintRules({ model }: ModelPackage, path: string, { json }: Options): void {
  const violations = lintForTensorRt(model);
  const pairs = model.graph.node.filter(({ opType }) => opType === 'QuantizeLinear').length;
  if (json) printJson({ pairs, violations });
  else {
    if (violations.length > 0)
      print(
        table(
          ['node', 'problem'],
          violations.map(({ node, problem }) => [node, problem]),
          ['left', 'left'],
        ),
      );
    print(`${pairs} activations are quantized; ${violations.length} places break TensorRT's rules.`);
  }
  const [first] = violations;
  if (first)
    throw new InputError(
      `${path} breaks TensorRT's rules at ${first.node}: ${first.problem}; quantize with --target tensorrt.`,
    );
}

async function lintByRunning(source: ModelPackage, path: string, { tokens, json }: Options): Promise<void> {
  const result = await lintModel(source.model, blankFeeds(source, tokens), kernelOptions());
  const ofKind = (wanted: Unfused['kind']) => result.unfused.filter(({ kind }) => kind === wanted);
  const pairs = ofKind('pair');
  if (json) printJson(result);
  else {
    const rows = result.unfused.map(({ node, operator, kind, seconds }) => [
      node,
      operator,
      kind,
      milliseconds(seconds),
      `${((100 * seconds) / result.seconds).toFixed(1)} %`,
    ]);
    if (rows.length > 0) print(table(['not fused', 'operator', 'kind', 'time', 'share'], rows));
    print(
      `${result.integerProducts} products run as integers; ${pairs.length} pairs are not fused; ${ofKind('stored').length} weights are stored as integers and computed with in float; ${ofKind('result').length} results of integer operators become float.`,
    );
  }
  if (pairs.length > 0)
    throw new InputError(
      `${path} has ${pairs.length} Q/DQ pairs that ONNX Runtime does not fuse, ${pairs[0]?.node} the dearest; make those layers float in the recipe.`,
    );
}
