/**
 * The scores of an image's positions as proposals become one operator (proposal-scores-function.ts). The features of the positions
 * that are chosen by their scores are computed again, from the rows of these positions alone, so that nobody needs those of all.
 */
import { append } from '../../../base/append.ts';
import { integerAttribute, setAttribute } from '../../../onnx/attributes.ts';
import { DOMAIN, INTEGER_LINEAR, PROPOSAL_SCORES } from '../../../onnx/dino8-operators.ts';
import { type GraphIndex, indexGraph, isStandard, onlyProducer } from '../../../onnx/graph-index.ts';
import { type Infos, inferShapes } from '../../../onnx/infer/infer.ts';
import type { Model } from '../../../onnx/read.ts';
import { copyNode, importDomain, makeNode, removeUnused, sortTopologically } from '../../../onnx/rewrite.ts';
import { makeTensor, tensorElements } from '../../../onnx/tensor.ts';
import { DataType, type NodeProto, type TensorProto } from '../../../onnx/types.ts';
import { isOfDino8, otherInput, rankOf, takenRows } from './attention-patterns.ts';
import { epsilonOf } from './epsilon.ts';
import { isNormOfRows } from './linear-blocks.ts';
import { proposalScoresFunction } from './proposal-scores-function.ts';

/** The name of a constant, the last dimension of a condition of rows. */
const ONE_COLUMN = 'dino8.one_column';

/** The nodes from the image's rows to the scores, in their order. */
interface Proposals {
  readonly masked: NodeProto;
  readonly quantizer: NodeProto;
  readonly layer: NodeProto;
  readonly norm: NodeProto;
  /** The nodes that take the features of chosen positions. */
  readonly choices: readonly NodeProto[];
  readonly text: string;
  readonly mask: string;
  readonly maximum: NodeProto;
}

/** Rewrites the model in place. Returns the number of operators that were made. */
export function fuseProposalScores(model: Model): number {
  const { graph } = model;
  const index = indexGraph(graph);
  const infos = inferShapes(model);
  const found = graph.node.flatMap((node) => proposalsScoredBy(node, index, infos) ?? []);
  if (found.length === 0) return 0;
  const gone = new Set(found.flatMap(({ maximum, choices }) => [maximum, ...choices]));
  graph.node = graph.node.filter((node) => !gone.has(node));
  graph.initializer.push(makeTensor(ONE_COLUMN, [1], BigInt64Array.of(1n)));
  for (const proposals of found) {
    append(graph.node, scoresOf(proposals));
    for (const choice of proposals.choices) append(graph.node, featuresOf(choice, proposals));
  }
  model.functions.push(proposalScoresFunction());
  importDomain(model, DOMAIN);
  sortTopologically(graph);
  removeUnused(model);
  return found.length;
}

/** The condition of a Where, for each of its rows. */
const conditionOf = (masked: NodeProto): string => `${masked.output[0]}.condition_of_rows`;

/** The operator, and the nodes that make its condition one of each row, as which a Where takes one of fewer rows too. */
function scoresOf({ masked, layer, norm, text, mask, maximum }: Proposals): NodeProto[] {
  const [valid = '', x = ''] = masked.input;
  const condition = conditionOf(masked);
  const inner = (part: string) => `${condition}.${part}`;
  const inputs = [x, condition, ...layer.input.slice(1), ...norm.input.slice(1), text, mask];
  const scores = makeNode(PROPOSAL_SCORES, maximum.name, inputs, maximum.output);
  scores.domain = DOMAIN;
  setAttribute(scores, 'epsilon', epsilonOf(norm));
  return [
    makeNode('Shape', inner('Shape'), [x], [inner('rows')], { start: 0, end: 2 }),
    makeNode('Concat', inner('Concat'), [inner('rows'), ONE_COLUMN], [inner('shape')], { axis: 0 }),
    makeNode('Expand', inner('Expand'), [valid, inner('shape')], [condition]),
    scores,
  ];
}

/** The nodes that compute the features of the rows that `choice` takes. */
function featuresOf(choice: NodeProto, { masked, quantizer, layer, norm }: Proposals): NodeProto[] {
  const [, indices = ''] = choice.input;
  const [, x = '', zero = ''] = masked.input;
  const valid = conditionOf(masked);
  const chosen = (name: string) => `${name}.of.${choice.output[0]}`;
  const take = (from: string) =>
    copyNode(choice, { name: chosen(from), input: [from, indices], output: [chosen(from)] });
  const compute = (node: NodeProto, input: string[], output: string) =>
    copyNode(node, { name: chosen(node.name), input, output: [output] });
  const results = [masked, quantizer, layer].map(({ output }) => chosen(output[0] ?? ''));
  const [rows = '', bytes = '', y = ''] = results;
  return [
    take(x),
    take(valid),
    compute(masked, [chosen(valid), chosen(x), zero], rows),
    compute(quantizer, [rows, ...quantizer.input.slice(1)], bytes),
    compute(layer, [bytes, ...layer.input.slice(1)], y),
    compute(norm, [y, ...norm.input.slice(1)], choice.output[0] ?? ''),
  ];
}

/** What the maximum over the tokens is of; undefined if it is of something else. */
function proposalsScoredBy(maximum: NodeProto, index: GraphIndex, infos: Infos): Proposals | undefined {
  const sum = isStandard(maximum, 'ReduceMax') ? onlyProducer(maximum.input[0], index) : undefined;
  const product = sum?.input.map((name) => onlyProducer(name, index)).find((node) => isStandard(node, 'MatMul'));
  const [features = '', text = ''] = product?.input ?? [];
  const norm = index.producer.get(features);
  const layer = onlyProducer(norm?.input[0], index);
  const quantizer = onlyProducer(layer?.input[0], index);
  const masked = onlyProducer(quantizer?.input[0], index);
  if (!isStandard(sum, 'Add') || !product || !isNormOfRows(norm, features, index, infos)) return undefined;
  if (!isOfDino8(layer, INTEGER_LINEAR)) return undefined;
  if (!isStandard(quantizer, 'QuantizeLinear') || !isStandard(masked, 'Where')) return undefined;
  const mask = otherInput(sum, product) ?? '';
  const choices = (index.consumers.get(features) ?? []).filter((node) => node !== product);
  const rows = choices.map((node) => takenRows(node, infos));
  const areRows = rows.every((each) => each?.data === features && each.indices !== features);
  const isChosen = areRows && !index.outputs.has(features);
  const isQuantizedForLayer = quantizer.input[1] === layer.input[1] && quantizer.input[2] === layer.input[2];
  const isOfTokens = isOverLast(maximum, index) && haveSizes(masked, features, text, mask, infos);
  const countsAsZeros = isZero(index.initializer.get(masked.input[2] ?? ''));
  if (!isChosen || !isQuantizedForLayer || !isOfTokens || !countsAsZeros) return undefined;
  return { masked, quantizer, layer, norm, choices, text, mask, maximum };
}

/** True for a maximum over the last of three dimensions, which it removes. */
function isOverLast(maximum: NodeProto, { initializer }: GraphIndex): boolean {
  const axes = initializer.get(maximum.input[1] ?? '');
  const [axis, ...others] = axes ? Array.from(tensorElements(axes), Number) : [];
  return others.length === 0 && (axis === 2 || axis === -1) && integerAttribute(maximum, 'keepdims', 1) === 0;
}

/** True for a condition [batch, positions, 1] of rows, their features, a text, and a mask [batch, 1, tokens]. */
function haveSizes(
  { input: [valid = '', x = ''] }: NodeProto,
  features: string,
  text: string,
  mask: string,
  infos: Infos,
): boolean {
  const isRank = [valid, x, features, text, mask].every((name) => rankOf(name, infos) === 3);
  const areFloats = [x, text, mask].every((name) => infos.get(name)?.type === DataType.FLOAT);
  return isRank && areFloats && infos.get(valid)?.shape?.[2] === 1 && infos.get(mask)?.shape?.[1] === 1;
}

/** True for a stored 0. */
function isZero(tensor: TensorProto | undefined): boolean {
  const [number, ...others] = tensor ? Array.from(tensorElements(tensor), Number) : [];
  return number === 0 && others.length === 0;
}
