/** The conditions of `operator-table.ts` on a node of a model. */
import { findAttribute } from '../../onnx/attributes.ts';
import type { GraphIndex } from '../../onnx/graph-index.ts';
import type { Infos } from '../../onnx/infer/infer.ts';
import { operatorName } from '../../onnx/opset.ts';
import { isExternal, tensorElements } from '../../onnx/tensor.ts';
import { DataType, type NodeProto, type TensorProto } from '../../onnx/types.ts';
import type { OperatorCheck } from './operator-table.ts';

/** The graph that a node is part of. */
export interface CheckedGraph {
  readonly index: GraphIndex;
  readonly infos: Infos;
  /** The inputs of the model; empty for the body of a function or of a branch, whose values from outside are not known. */
  readonly inputs: ReadonlySet<string>;
}

type Kind = OperatorCheck['kind'];
type CheckOf<K extends Kind> = Extract<OperatorCheck, { kind: K }>;
type Checks = { readonly [K in Kind]: (check: CheckOf<K>, node: NodeProto, graph: CheckedGraph) => boolean };

/** True if a node fulfils a condition. What is not known of the model counts as fulfilled. */
export function fulfils<K extends Kind>(check: CheckOf<K>, node: NodeProto, graph: CheckedGraph): boolean {
  const test: (check: CheckOf<K>, node: NodeProto, graph: CheckedGraph) => boolean = CHECKS[check.kind as K];
  return test(check, node, graph);
}

/** More numbers of a tensor are not examined. */
const MOST_ELEMENTS = 1 << 20;

/** The stored tensor that a value is, or that a Constant node gives. */
function stored(name: string | undefined, { index }: CheckedGraph): TensorProto | undefined {
  const node = index.producer.get(name ?? '');
  return index.initializer.get(name ?? '') ?? (node?.opType === 'Constant' ? node.attribute[0]?.t : undefined);
}

function numbersOf(name: string | undefined, graph: CheckedGraph): number[] {
  const tensor = stored(name, graph);
  if (!tensor || isExternal(tensor) || tensor.dims.reduce((product, size) => product * size, 1n) > MOST_ELEMENTS)
    return [];
  return [...tensorElements(tensor)].map(Number);
}

const isPair = (name: string | undefined, { index }: CheckedGraph) =>
  index.producer.get(name ?? '')?.opType === 'DequantizeLinear';

/** True for what is stored or computed from stored tensors alone. */
function isWeight(name: string | undefined, graph: CheckedGraph): boolean {
  const node = graph.index.producer.get(name ?? '');
  return stored(name, graph) !== undefined || (node?.input.every((each) => !each || stored(each, graph)) ?? false);
}

const text = (bytes: Uint8Array | undefined) => new TextDecoder().decode(bytes);

const CHECKS: Checks = {
  attribute: (check, node) => {
    const attribute = findAttribute(node, check.name);
    return !attribute || check.in.includes(text(attribute.s));
  },
  'integer-attribute': (check, node) => {
    const attribute = findAttribute(node, check.name);
    const values = attribute && (attribute.ints.length > 0 ? attribute.ints : [attribute.i]);
    return !values || values.every((value) => check.in.includes(Number(value)));
  },
  constant: ({ input }, node, graph) => {
    const name = node.input[input] ?? '';
    const isComputed = graph.index.producer.has(name) || graph.inputs.has(name);
    return !isComputed || stored(name, graph) !== undefined;
  },
  present: ({ input }, node) => Boolean(node.input[input]),
  maximum: ({ input, below }, node, graph) => numbersOf(node.input[input], graph).every((value) => value < below),
  positive: ({ input }, node, graph) => numbersOf(node.input[input], graph).every((value) => value > 0),
  rank: (check, node, { infos }) => {
    const rank = infos.get(node.input[check.input] ?? '')?.shape?.length;
    return rank === undefined || check.in.includes(rank);
  },
  type: (check, node, { infos }) => {
    const type = infos.get(node.input[check.input] ?? '')?.type;
    return type === undefined || check.in.includes(DataType[type] ?? '');
  },
  'unused-outputs': ({ from }, node, { index }) =>
    node.output.slice(from).every((name) => !index.consumers.get(name)?.length && !index.outputs.has(name)),
  integers: (check, node, graph) => {
    const zero = stored(node.input[2], graph)?.dataType;
    const type = zero ?? (node.opType === 'DequantizeLinear' ? graph.infos.get(node.input[0] ?? '')?.type : undefined);
    return type === undefined || check.in.includes(DataType[type] ?? '');
  },
  'zero-point-zero': (_, node, graph) => numbersOf(node.input[2], graph).every((value) => value === 0),
  'scale-of-activation': (_, node, graph) =>
    isWeight(node.input[0], graph) || (stored(node.input[1], graph)?.dims.length ?? 0) === 0,
  'no-result': (_, node, { index }) => !node.output.some((name) => index.outputs.has(name)),
  readers: (check, node, { index }) =>
    node.output.every((name) =>
      (index.consumers.get(name) ?? []).every((reader) => check.in.includes(operatorName(reader))),
    ),
  'both-inputs': ({ weightsAlone = false }, node, graph) => {
    const [a, b] = node.input;
    if (isPair(a, graph) === isPair(b, graph)) return true;
    const quantized = graph.index.producer.get((isPair(a, graph) ? a : b) ?? '');
    return weightsAlone && isWeight(quantized?.input[0], graph);
  },
  'float-bias': (_, node, graph) => !isPair(node.input[2], graph),
  'float-result': (_, node, graph) =>
    !isPair(node.input[0], graph) ||
    !node.output.some((name) => graph.index.consumers.get(name)?.some(({ opType }) => opType === 'QuantizeLinear')),
};
