import { Command } from 'commander';
import { InputError } from '../base/errors.ts';
import { blankFeeds } from '../detect/blank-feeds.ts';
import { readPackage } from '../model/package.ts';
import { lintModel, type Unfused } from '../quant/lint.ts';
import { kernelOptions } from '../runtime/kernels.ts';
import { milliseconds, print, printJson, table, wholeNumber } from './terminal.ts';

export function lintCommand(): Command {
  return new Command('lint')
    .description('Tell which Q/DQ pairs of a model ONNX Runtime did not fuse, and what they cost; exit code 1 if any.')
    .argument('<model>', 'a quantized model that dino8 wrote')
    .option('--tokens <count>', 'length of the prompt to run with', wholeNumber('--tokens'), 32)
    .option('--json', 'print the result as JSON')
    .addHelpText('after', '\nExample:\n  $ dino8 lint tiny.int8.onnx')
    .action(async (path: string, options: { tokens: number; json?: true }) => {
      const source = await readPackage(path);
      const result = await lintModel(source.model, blankFeeds(source, options.tokens), kernelOptions());
      const ofKind = (wanted: Unfused['kind']) => result.unfused.filter(({ kind }) => kind === wanted);
      const pairs = ofKind('pair');
      if (options.json) printJson(result);
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
    });
}
