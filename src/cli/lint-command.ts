import { Command } from '@commander-js/extra-typings';
import { InputError } from '../base/errors.ts';
import { milliseconds, percent } from '../base/format.ts';
import { BLANK_TOKENS } from '../pipeline/blank-inputs.ts';
import { lint } from '../pipeline/lint-step.ts';
import type { LintReport } from '../quant/targets/target.ts';
import { examples } from './examples.ts';
import { interruption } from './interruption.ts';
import { notice } from './notices.ts';
import { print, printJson } from './output.ts';
import { shapeOption } from './picture-options.ts';
import { jsonOption, targetOption, threadsOption, wholeNumber } from './shared-options.ts';
import { type Alignment, table } from './table.ts';

/** `dino8 lint` */
export const lintCommand = () =>
  new Command('lint')
    .description(
      'List the places of a model that its runtime refuses, computes in another way, or does not compute in integers: for ort-cpu by running the model, with the time they cost, for other targets by tables of what each version takes. The exit code is 1 if one of them is a defect.',
    )
    .argument('<model>', 'a quantized model that dino8 wrote')
    .addOption(targetOption('the runtime that the model was made for'))
    .option(
      '--runtime-version <version>',
      'check for this version of the runtime, for targets that dino8 knows by tables: tensorrt 8.5, 8.6, 10 or 11; openvino 2026.0 or 2026.4 (default: all that models of the target are made for)',
    )
    .option(
      '--tokens <count>',
      `run with a prompt of this many tokens, for targets that run the model (default: ${BLANK_TOKENS})`,
      wholeNumber('--tokens'),
    )
    .addOption(shapeOption())
    .addOption(threadsOption())
    .addOption(jsonOption())
    .addHelpText(
      'after',
      examples(
        'dino8 quantize assets/nano --recipe dynamic -o nano.int8.onnx && dino8 lint nano.int8.onnx',
        'dino8 lint nano.trt.onnx --target tensorrt --runtime-version 8.5',
        'dino8 quantize assets/nano --recipe static --calibration assets/shapes/calib --target tensorrt -o nano.trt.onnx && dino8 lint nano.trt.onnx --target tensorrt',
      ),
    )
    .action(async (model, { target, runtimeVersion, tokens, shape, threads, json }) => {
      const report = await lint({
        model,
        target,
        version: runtimeVersion,
        tokens,
        shapes: shape,
        threads,
        signal: interruption(),
        onNotice: notice,
      });
      if (json) printJson(report);
      else printReport(report);
      const defects = report.findings.filter(({ isDefect }) => isDefect);
      const [first] = defects;
      if (first)
        throw new InputError(
          `${model} has ${defects.length} places that ${target} ${first.rule ? 'refuses or computes in another way' : 'does not compute in integers'}; the first is ${first.node}: ${first.problem}; ${report.advice}.`,
        );
    });

function printReport({ findings, summary, seconds: whole }: LintReport): void {
  const times = (seconds: number | undefined) =>
    seconds === undefined || whole === undefined ? [] : [milliseconds(seconds), percent(seconds, whole)];
  const rows = findings.map(({ node, operator, problem, seconds }) => [node, operator, problem, ...times(seconds)]);
  const sources = new Map(findings.flatMap(({ rule, source }) => (rule && source ? [[rule, source] as const] : [])));
  const head = ['node', 'operator', 'problem', ...(whole === undefined ? [] : ['time', 'share'])];
  const alignments = head.map((_, column): Alignment => (column < 3 ? 'left' : 'right'));
  if (rows.length > 0) print(table(head, rows, alignments));
  for (const [rule, source] of sources) print(`${rule}: ${source}`);
  print(summary);
}
