import { Command, Option } from 'commander';
import { InputError } from '../base/errors.ts';
import { readPackage } from '../models/package/package.ts';
import type { LintReport } from '../quant/targets/target.ts';
import { findTarget, TARGET_NAMES, TARGETS } from '../quant/targets/targets.ts';
import { kernelOptions } from '../runtime/kernels.ts';
import { milliseconds, print, printJson, table, wholeNumber } from './terminal.ts';

interface Options {
  tokens: number;
  target: string;
  json?: true;
}

export function lintCommand(): Command {
  return new Command('lint')
    .description(
      'List the quantized places of a model that its runtime does not compute in integers; exit code 1 if any.',
    )
    .argument('<model>', 'a quantized model that dino8 wrote')
    .addOption(
      new Option('--target <runtime>', TARGETS.map(({ name, description }) => `${name}: ${description}`).join('; '))
        .choices([...TARGET_NAMES])
        .default(TARGET_NAMES[0]),
    )
    .option('--tokens <count>', 'length of the prompt for targets that run the model', wholeNumber('--tokens'), 32)
    .option('--json', 'print the result as JSON')
    .addHelpText('after', '\nExamples:\n  $ dino8 lint tiny.int8.onnx\n  $ dino8 lint tiny.trt.onnx --target tensorrt')
    .action(async (path: string, { target, tokens, json }: Options) => {
      const source = await readPackage(path);
      const feeds = () => source.family.blankFeeds(source, { tokens });
      const report = await findTarget(target).lint(source.model, { feeds, session: kernelOptions() });
      if (json) printJson({ target, ...report });
      else printReport(report);
      const defects = report.findings.filter(({ isDefect }) => isDefect);
      const [first] = defects;
      if (first)
        throw new InputError(
          `${path} has ${defects.length} quantized places that ${target} does not compute in integers, first ${first.node}: ${first.problem}; ${report.advice}.`,
        );
    });
}

function printReport({ findings, summary, seconds: whole }: LintReport): void {
  const times = (seconds: number | undefined) =>
    seconds === undefined || whole === undefined
      ? []
      : [milliseconds(seconds), `${((100 * seconds) / whole).toFixed(1)} %`];
  const rows = findings.map(({ node, operator, problem, seconds }) => [node, operator, problem, ...times(seconds)]);
  const head = ['node', 'operator', 'problem', ...(whole === undefined ? [] : ['time', 'share'])];
  const sides = head.map((_, column) => (column < 3 ? ('left' as const) : ('right' as const))); // the type has two words
  if (rows.length > 0) print(table(head, rows, sides));
  print(summary);
}
