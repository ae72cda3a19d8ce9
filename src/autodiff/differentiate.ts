/**
 * Reverse-mode differentiation from a graph to a graph (Griewank and Walther 2008, Evaluating Derivatives, chapter 3). The
 * nodes between the parameters and the loss are visited in reverse order, and the rule of each adds the nodes that compute
 * the gradients of its inputs.
 */

import { InputError, messageOf } from '../base/errors.ts';
import { ABSENT, GraphBuilder, type Value } from '../onnx/builder.ts';
import { checkModelArgument } from '../onnx/check-model.ts';
import { usedBy } from '../onnx/graph-index.ts';
import type { Model } from '../onnx/read.ts';
import { modulePath, removeUnused } from '../onnx/rewrite.ts';
import { subgraphsOf } from '../onnx/traverse.ts';
import { DataType, type NodeProto } from '../onnx/types.ts';
import { type Differentiation, gradientName } from './differentiation.ts';
import { functionRule } from './function-gradient.ts';
import { Recomputation } from './recompute.ts';
import type { Rule, RuleContext } from './rule.ts';
import { rules } from './rules.ts';

/**
 * Adds to a model the outputs that hold the gradients of a loss, named by `gradientName`, and the loss itself. The gradient
 * has the shape of its parameter; it is zeros if the loss does not depend on the parameter. Nodes that no output needs are
 * removed. `model` is not changed.
 * @throws InputError, which names the operator and its module path, if an operator between the parameters and the loss has no
 * rule
 * @example
 * const trained = differentiate(model, { loss: 'loss', parameters: ['weight'] });
 * // The output 'weight.gradient' has the shape of 'weight'.
 */
export function differentiate(model: Model, options: Differentiation): Model {
  checkModelArgument(model);
  const b = new GraphBuilder(model.graph.name, model);
  const { loss, parameters } = options;
  const pass = new ReversePass(b, model, options);
  b.scope('gradient', () => {
    for (const node of model.graph.node.toReversed()) pass.propagate(node);
    const outputs = new Set(model.graph.output.map(({ name }) => name));
    if (!outputs.has(loss)) b.output(loss, b.value(loss));
    for (const parameter of parameters) {
      const value = b.value(parameter);
      const found = pass.gradientOf(parameter) ?? b.expand(b.scalar(0), [b.shapeOf(value)]);
      b.output(gradientName(parameter), found, value.shape);
    }
  });
  const result = b.finish();
  removeUnused(result);
  return result;
}

/** One pass from the loss back to the parameters, with the gradients that it has found so far. */
class ReversePass {
  readonly #b: GraphBuilder;
  readonly #active: ReadonlySet<string>;
  readonly #rules: Readonly<Record<string, Rule>>;
  readonly #recomputation: Recomputation | undefined;
  /** The contributions to the gradient of each value, which are summed when the gradient is needed. */
  readonly #gradients: Map<string, Value[]>;

  constructor(b: GraphBuilder, model: Model, options: Differentiation) {
    const { loss, parameters, detached = [], rules: own = {}, recompute } = options;
    this.#b = b;
    this.#active = activeValues(model, loss, parameters, new Set(detached));
    this.#rules = own;
    this.#recomputation = recompute && new Recomputation(b, model.graph, recompute);
    this.#gradients = new Map([[loss, [b.scalar(1)]]]);
  }

  /** The gradient of a value; undefined if the loss does not depend on it. */
  gradientOf(name: string): Value | undefined {
    const parts = this.#gradients.get(name);
    if (!parts || parts.length === 0) return undefined;
    const [total = this.#b.sum(parts)] = parts.length === 1 ? parts : [];
    this.#gradients.set(name, [total]);
    return total;
  }

  /** Adds the gradients of a node's inputs, from those of its results. */
  propagate(node: NodeProto): void {
    if (!node.output.some((name) => this.#active.has(name))) return;
    this.#b.scope(modulePath(node) || 'graph', () => {
      const arriving = node.output.map((name) => (name ? this.gradientOf(name) : undefined));
      const first = arriving.find((gradient) => gradient !== undefined);
      if (first) this.#propagateFrom(node, arriving, first);
    });
  }

  #propagateFrom(node: NodeProto, arriving: readonly (Value | undefined)[], first: Value): void {
    const b = this.#b;
    const read = (name: string) => (name ? b.value(this.#recomputation?.locate(name, first) ?? name) : ABSENT);
    const inputs = node.input.map(read);
    const wanted = node.input.map((name, index) => {
      const type = inputs[index]?.type;
      return this.#active.has(name) && (type === undefined || isFloat(type));
    });
    if (!wanted.includes(true)) return;
    const rule = this.#rules[`${node.domain}::${node.opType}`] ?? ruleFor(b, node);
    const leaving = derive(rule, {
      b,
      node,
      inputs,
      outputs: node.output.map(read),
      gradients: arriving,
      wanted,
    });
    for (const [index, gradient] of leaving.entries()) {
      const [name, input] = [node.input[index], inputs[index]];
      if (!gradient || !name || !input || !wanted[index]) continue;
      // A gradient has the type and the shape of its value, even where inference could not find them.
      this.#gradients.set(name, [...(this.#gradients.get(name) ?? []), b.assume(gradient, input)]);
    }
  }
}

/** The values that depend on a parameter and on which the loss depends. */
function activeValues(
  { graph }: Model,
  loss: string,
  parameters: readonly string[],
  detached: ReadonlySet<string>,
): Set<string> {
  const moved = new Set(parameters);
  for (const name of detached) moved.delete(name);
  for (const node of graph.node)
    if ([...usedBy(node)].some((name) => moved.has(name))) addAll(moved, node.output, (name) => !detached.has(name));
  const active = new Set<string>();
  addAll(active, [loss], (name) => moved.has(name));
  for (const node of graph.node.toReversed())
    if (node.output.some((name) => active.has(name))) addAll(active, usedBy(node), (name) => moved.has(name));
  return active;
}

function addAll(set: Set<string>, names: Iterable<string>, admit: (name: string) => boolean): void {
  for (const name of names) if (name && admit(name)) set.add(name);
}

const isFloat = (type: DataType) =>
  type === DataType.FLOAT || type === DataType.DOUBLE || type === DataType.FLOAT16 || type === DataType.BFLOAT16;

function derive(rule: Rule, context: RuleContext) {
  const { node } = context;
  try {
    return rule(context);
  } catch (error) {
    const reason = messageOf(error).replace(/\.$/, '');
    throw new InputError(`The gradient of ${node.opType} at ${node.name} cannot be built: ${reason}.`);
  }
}

function ruleFor(b: GraphBuilder, node: NodeProto): Rule {
  const body = b.definition(node.domain, node.opType);
  if (body) return functionRule(body, differentiate);
  const isStandard = node.domain === '' || node.domain === 'ai.onnx';
  const found = isStandard && subgraphsOf(node).length === 0 && Object.hasOwn(rules, node.opType) && rules[node.opType];
  if (found) return found;
  const operator = isStandard ? node.opType : `${node.domain}::${node.opType}`;
  throw new InputError(
    `No gradient is known for the operator ${operator} at ${node.name || node.output[0]}; detach it, or do not train the parameters before it.`,
  );
}
