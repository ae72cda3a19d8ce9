/**
 * Recognises the activations of MobileNetV3 (Howard et al. 2019, https://arxiv.org/abs/1905.02244, section 5.2) where an
 * exporter spelled them out: clip(x + 3, 0, 6) / 6 is HardSigmoid, and x times it is HardSwish. One operator instead of
 * four saves three passes over the value, and the quantizer recognises it.
 */
import { findAttribute, float } from '../attributes.ts';
import { type GraphIndex, indexGraph, isReadOnce } from '../graph-index.ts';
import type { Model } from '../read.ts';
import { makeNode, removeUnused, sortTopologically } from '../rewrite.ts';
import { tensorElements } from '../tensor.ts';
import { DataType, type NodeProto } from '../types.ts';

/**
 * Replaces nodes that together compute a hard sigmoid or a hard swish by one operator.
 *
 * @param model is changed
 * @returns the number of new operators
 */
export function findHardSwish(model: Model): number {
  const { graph } = model;
  let found = 0;
  for (const match of [matchHardSwish, matchHardSigmoid]) {
    // The nodes within a match have one reader, so that no match changes another of the same kind.
    const index = indexGraph(graph);
    const replacements = new Map(graph.node.map((node) => [node, match(node, index)]));
    graph.node = graph.node.map((node) => replacements.get(node) ?? node);
    found += [...replacements.values()].filter(Boolean).length;
    removeUnused(model);
  }
  if (found > 0) sortTopologically(graph);
  return found;
}

/** Matches x · clip(x + 3, 0, 6) / 6, whatever the order of its factors, and x · HardSigmoid(x). */
function matchHardSwish(node: NodeProto, index: GraphIndex): NodeProto | undefined {
  const { factors, constant } = factorsOf(node, index);
  if (factors.length !== 2) return undefined;
  // The type says that there are two factors, which was checked above.
  for (const [x, gate] of [factors, factors.toReversed()] as [string, string][]) {
    const isSpelledOut = isNear(constant, 1 / 6) && clippedInput(gate, index) === x;
    if (isSpelledOut || (constant === 1 && hardSigmoidInput(gate, index) === x))
      return makeNode('HardSwish', node.name, [x], node.output);
  }
  return undefined;
}

/** Matches clip(x + 3, 0, 6) / 6. */
function matchHardSigmoid(node: NodeProto, index: GraphIndex): NodeProto | undefined {
  const { factors, constant } = factorsOf(node, index);
  const [gate = ''] = factors;
  const x = factors.length === 1 && isNear(constant, 1 / 6) ? clippedInput(gate, index) : undefined;
  return x === undefined
    ? undefined
    : makeNode('HardSigmoid', node.name, [x], node.output, { alpha: float(1 / 6), beta: float(0.5) });
}

/** Returns the factors of a product that are not constant, and the product of the constant ones, those of inner products included. */
function factorsOf(node: NodeProto, index: GraphIndex): { factors: string[]; constant: number } {
  const factors: string[] = [];
  let constant = 1;
  const visit = (each: NodeProto): void => {
    const [a = '', b = ''] = each.input;
    const visitFactor = (name: string) => {
      const value = scalarOf(name, index);
      const inner = index.producer.get(name);
      if (value !== undefined) constant *= value;
      else if (inner && isProduct(inner) && isReadOnce(name, index)) visit(inner);
      else factors.push(name);
    };
    visitFactor(a);
    const divisor = each.opType === 'Div' ? scalarOf(b, index) : undefined;
    if (divisor !== undefined) constant /= divisor;
    else if (each.opType === 'Div')
      factors.push('', '', ''); // A division by a value is no product: with so many factors, nothing matches.
    else visitFactor(b);
  };
  if (isProduct(node)) visit(node);
  return { factors, constant };
}

const isProduct = ({ opType, domain }: NodeProto) => domain === '' && (opType === 'Mul' || opType === 'Div');
const isNear = (a: number, b: number) => Math.abs(a - b) <= 1e-4 * Math.abs(b);

/** The number that a constant of one element holds. */
function scalarOf(name: string, index: GraphIndex): number | undefined {
  const tensor = index.initializer.get(name);
  if (tensor?.dataType !== DataType.FLOAT || tensor.dims.some((size) => size !== 1n)) return undefined;
  return Number(tensorElements(tensor)[0]);
}

/** Returns the name of x if the value is clip(x + 3, 0, 6). */
function clippedInput(name: string, index: GraphIndex): string | undefined {
  const clip = index.producer.get(name);
  const [sum = '', low = '', high = ''] = clip?.opType === 'Clip' ? clip.input : [];
  const add = index.producer.get(sum);
  if (add?.opType !== 'Add' || scalarOf(low, index) !== 0 || scalarOf(high, index) !== 6) return undefined;
  const [a = '', b = ''] = add.input;
  if (scalarOf(b, index) === 3) return a;
  return scalarOf(a, index) === 3 ? b : undefined;
}

/** Returns the name of x if the value is a HardSigmoid of x with the slope of HardSwish. */
function hardSigmoidInput(name: string, index: GraphIndex): string | undefined {
  const node = index.producer.get(name);
  if (node?.opType !== 'HardSigmoid') return undefined;
  const alpha = findAttribute(node, 'alpha')?.f ?? 0.2;
  const beta = findAttribute(node, 'beta')?.f ?? 0.5;
  return isNear(alpha, 1 / 6) && beta === 0.5 ? node.input[0] : undefined;
}
