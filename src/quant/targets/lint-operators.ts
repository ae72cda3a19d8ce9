/** Reads a model by the table of what its runtime takes. The model is not run. */

import { append } from '../../base/append.ts';
import { UsageError } from '../../base/errors.ts';
import { checkModelArgument } from '../../onnx/check-model.ts';
import { indexGraph } from '../../onnx/graph-index.ts';
import { type Infos, inferShapes } from '../../onnx/infer/infer.ts';
import { isStandardDomain, operatorName, standardVersion } from '../../onnx/opset.ts';
import type { Model } from '../../onnx/read.ts';
import { nodesOf, subgraphsOf } from '../../onnx/traverse.ts';
import type { FunctionProto, GraphProto, NodeProto } from '../../onnx/types.ts';
import { type CheckedGraph, fulfils } from './operator-checks.ts';
import type { OperatorTable, RuleEffect } from './operator-table.ts';

/** A node that a version of a runtime does not take. */
export interface Violation {
  /** The name of the node; that of a function or of the model where no node is meant. */
  readonly node: string;
  /** The type of its operator. */
  readonly operator: string;
  /** The name of the rule that is broken. */
  readonly rule: string;
  /** The fault as a phrase, with the versions of the runtime that have it. */
  readonly problem: string;
  /** The way in which the runtime fails on it. */
  readonly effect: RuleEffect;
  /** The address of the source of the rule. */
  readonly source: string;
}

/**
 * Finds everything in a model that a runtime refuses, computes wrongly, or computes in float in spite of its pairs.
 *
 * @param version of the runtime; by default all for which the target writes models
 * @throws UsageError if the table does not know the version
 * @example
 * const { operators } = findTarget('tensorrt');
 * const violations = operators ? lintOperators(await readModel('detector.onnx'), operators, '8.6') : [];
 */
export function lintOperators(model: Model, table: OperatorTable, version?: string): Violation[] {
  checkModelArgument(model);
  const wanted = version === undefined ? table.madeFor : [knownVersion(table, version)];
  const graphs = graphsOf(model);
  const found = wanted.flatMap((each) =>
    lintVersion(model, graphs, table, each).map((violation) => ({ ...violation, in: each })),
  );
  const merged = new Map<string, { violation: Violation; versions: string[] }>();
  for (const { in: each, ...violation } of found) {
    const key = JSON.stringify([violation.node, violation.rule, violation.problem]);
    const same = merged.get(key);
    if (same) same.versions.push(each);
    else merged.set(key, { violation, versions: [each] });
  }
  return [...merged.values()].map(({ violation, versions }) => ({
    ...violation,
    problem: `${violation.problem} (${table.runtime} ${versions.join(', ')})`,
  }));
}

/** The version of the table that stands for one of the runtime: 8.5 for 8.5.2, and 10 for 10.3. */
function knownVersion({ versions, runtime }: OperatorTable, asked: string): string {
  const found = versions.find(({ name }) => asked === name || asked.startsWith(`${name}.`));
  if (found) return found.name;
  const names = versions.map(({ name }) => name).join(', ');
  throw new UsageError(`dino8 knows no version ${asked} of ${runtime}; it knows ${names} and those that begin so.`);
}

function lintVersion(model: Model, graphs: readonly ReadGraph[], table: OperatorTable, version: string): Violation[] {
  const known = table.versions.find(({ name }) => name === version);
  if (!known) throw new Error(`the table of ${table.runtime} has no version ${version}`);
  const { opset, functions, source } = known;
  const violations: Violation[] = [];
  const refuse = (node: string, operator: string, rule: string, problem: string) =>
    violations.push({ node, operator, rule, problem, effect: 'refused', source });
  const own = standardVersion(model);
  if (own > opset)
    refuse(
      model.graph.name || 'model',
      'model',
      'opset',
      `it uses version ${own} of the operators, and ${opset} is the newest that is known`,
    );
  if (!functions)
    for (const { name } of model.functions)
      refuse(name, 'function', 'functions', 'model-local functions are not known');
  const defined = new Set(model.functions.map((body) => `${body.domain}::${body.name}`));
  for (const { graph, nodes, prefix } of graphs)
    for (const node of nodes) {
      const operator = operatorName(node);
      if (defined.has(`${node.domain}::${node.opType}`)) continue;
      if (!hasOperator(node, table, version))
        refuse(prefix + node.name, operator, 'operator', `${operator} is not an operator that it has`);
      else append(violations, brokenRules(node, graph, table, version, prefix));
    }
  return violations;
}

function hasOperator(node: NodeProto, { operators, versions }: OperatorTable, version: string): boolean {
  if (!operators) return true;
  const names = versions.map(({ name }) => name);
  const operator = operatorName(node);
  // A constant is a stored tensor, which every runtime has.
  if (operator === 'Constant') return true;
  const since = Object.hasOwn(operators, operator) ? operators[operator] : undefined;
  return since !== undefined && names.indexOf(since) <= names.indexOf(version);
}

function brokenRules(
  node: NodeProto,
  graph: CheckedGraph,
  { rules }: OperatorTable,
  version: string,
  prefix: string,
): Violation[] {
  if (!isStandardDomain(node.domain)) return [];
  return rules
    .filter(({ operator, versions }) => operator === node.opType && (versions?.includes(version) ?? true))
    .filter(({ check }) => !fulfils(check, node, graph))
    .map(({ id, problem, effect, source }) => ({
      node: prefix + node.name,
      operator: node.opType,
      rule: id,
      problem,
      effect,
      source,
    }));
}

/** A graph whose nodes are read, and what their names begin with. */
interface ReadGraph {
  readonly graph: CheckedGraph;
  readonly nodes: readonly NodeProto[];
  readonly prefix: string;
}

/** The main graph, all subgraphs, and the bodies of all functions. Outside of the main graph no shape is known. */
function graphsOf(model: Model): ReadGraph[] {
  const inner = (of: GraphProto | FunctionProto, prefix: string): ReadGraph[] =>
    [...nodesOf(of)].flatMap((node) => subgraphsOf(node).map((graph) => read(graph, new Map(), prefix)));
  const bodies = model.functions.flatMap((body) => {
    const prefix = `${body.name}/`;
    return [read(body, new Map(), prefix), ...inner(body, prefix)];
  });
  const inputs = new Set(model.graph.input.map(({ name }) => name));
  return [read(model.graph, inferShapes(model), '', inputs), ...inner(model.graph, ''), ...bodies];
}

function read(
  of: GraphProto | FunctionProto,
  infos: Infos,
  prefix: string,
  inputs: ReadonlySet<string> = new Set(),
): ReadGraph {
  const isGraph = 'initializer' in of;
  const initializer = isGraph ? of.initializer : [];
  const output = isGraph ? of.output : [];
  const { node: nodes } = of;
  const index = indexGraph({ node: nodes, initializer, output });
  return { graph: { index, infos, inputs }, nodes, prefix };
}
