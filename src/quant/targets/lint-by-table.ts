/** The linter of targets whose runtime is described by a table. */
import type { Model } from '../../onnx/read.ts';
import { lintOperators } from './lint-operators.ts';
import type { OperatorTable } from './operator-table.ts';
import type { LintReport } from './target.ts';

/** The nodes that break a rule of the table, as a report. */
export function lintByTable(model: Model, table: OperatorTable, target: string, version?: string): LintReport {
  const violations = lintOperators(model, table, version);
  const pairs = model.graph.node.filter(({ opType }) => opType === 'QuantizeLinear').length;
  const versions = version ?? table.madeFor.join(', ');
  return {
    findings: violations.map(({ node, operator, rule, problem, source }) => ({
      node,
      operator,
      rule,
      problem,
      source,
      isDefect: true,
    })),
    summary: `${pairs} activations are quantized; ${violations.length} places break the rules of ${table.runtime} ${versions}.`,
    advice: `quantize the model for the target ${target}`,
  };
}
