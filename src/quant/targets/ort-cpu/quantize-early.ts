/**
 * Moves QuantizeLinear ahead of Transpose, Slice, Pad and other nodes that only move values, so that they copy bytes, not
 * floats. Each step swaps a QuantizeLinear with the node before it, which computes the same on bytes.
 */
import { append } from '../../../base/append.ts';
import { indexGraph } from '../../../onnx/graph-index.ts';
import type { Model } from '../../../onnx/read.ts';
import { copyNode, makeNode, removeUnused, sortTopologically } from '../../../onnx/rewrite.ts';
import { tensorElements } from '../../../onnx/tensor.ts';
import { DataType, type NodeProto, type TensorProto } from '../../../onnx/types.ts';
import { selectsValues } from '../../observe/same-values.ts';

/** Nodes that give the same on bytes as on floats; a Pad then adds the zero point. */
const MOVES = new Set(['Reshape', 'Transpose', 'Squeeze', 'Unsqueeze', 'Flatten', 'Split', 'Slice', 'Pad', 'Concat']);

/** Rewrites `model` until no QuantizeLinear can be moved further ahead. */
export function quantizeEarly(model: Model): void {
  let changes = 0;
  for (let found = step(model); found > 0; found = step(model)) changes += found;
  if (changes > 0) {
    joinEqual(model);
    removeUnused(model);
    sortTopologically(model.graph);
  }
}

interface Parameters {
  readonly scale: string;
  readonly zeroPoint: string;
}

/** One pass over the graph. @returns the number of nodes that it moved or removed */
function step(model: Model): number {
  const { graph } = model;
  const { consumers, outputs, initializer } = indexGraph(graph);
  let changes = 0;
  const nodes: NodeProto[] = [];
  const gone = new Set<NodeProto>();
  for (const node of graph.node) {
    const parameters = node.output.some((name) => outputs.has(name)) ? undefined : commonParameters(node, consumers);
    const isRelu = node.opType === 'Relu' && node.domain === '';
    const moves = node.domain === '' && (MOVES.has(node.opType) || selectsValues(node));
    const isMove = moves && !isReshapeOfConstant(node, initializer);
    if (!parameters || !(isMove || (isRelu && isLowest(initializer.get(parameters.zeroPoint))))) {
      nodes.push(node);
      continue;
    }
    changes++;
    const quantizers = node.output.flatMap((name) => consumers.get(name) ?? []);
    for (const quantizer of quantizers) gone.add(quantizer);
    append(nodes, isRelu ? quantizeInstead(node, quantizers) : moveBytes(node, quantizers, parameters));
  }
  graph.node = nodes.filter((node) => !gone.has(node));
  return changes;
}

const isReshapeOfConstant = ({ input: [data = ''] }: NodeProto, initializer: ReadonlyMap<string, TensorProto>) =>
  initializer.has(data);

/** The scale and zero point with which all users of all results of a node quantize them. */
function commonParameters(
  node: NodeProto,
  consumers: ReadonlyMap<string, readonly NodeProto[]>,
): Parameters | undefined {
  const users = node.output.map((name) => consumers.get(name) ?? []);
  const [first] = users.flat();
  const [, scale = '', zeroPoint = ''] = first?.input ?? [];
  const isSame = ({ opType, domain, input }: NodeProto) =>
    opType === 'QuantizeLinear' && domain === '' && input[1] === scale && input[2] === zeroPoint;
  return first && users.every((some) => some.length > 0 && some.every(isSame)) ? { scale, zeroPoint } : undefined;
}

/** Where the lowest integer stands for 0, negative values become 0 by quantization itself, so that a ReLU is not needed. */
function quantizeInstead(relu: NodeProto, quantizers: readonly NodeProto[]): NodeProto[] {
  return quantizers.map((quantizer) =>
    copyNode(quantizer, { input: [relu.input[0] ?? '', ...quantizer.input.slice(1)] }),
  );
}

/** True for a zero point that is the lowest integer of its type: 0 for uint8, −128 for int8. */
function isLowest(tensor: TensorProto | undefined): boolean {
  if (tensor === undefined) return false;
  const lowest = tensor.dataType === DataType.INT8 ? -128 : 0;
  return Number(tensorElements(tensor)[0]) === lowest;
}

function moveBytes(node: NodeProto, quantizers: readonly NodeProto[], { scale, zeroPoint }: Parameters): NodeProto[] {
  const moved = node.opType === 'Concat' ? node.input : node.input.slice(0, 1);
  const bytes = (name: string) => `${name}.early.${scale}`;
  const before = [...new Set(moved)].map((name) =>
    makeNode('QuantizeLinear', `${node.name}.Early.${name}`, [name, scale, zeroPoint], [bytes(name)]),
  );
  const input = [...moved.map(bytes), ...node.input.slice(moved.length)];
  if (node.opType === 'Pad') input[2] = zeroPoint; // the integer that means 0
  // Each QuantizeLinear has a result of its own name; all of them are now the one moved value.
  const names = new Map(quantizers.map((quantizer) => [quantizer.output[0] ?? '', quantizer.input[0] ?? '']));
  const output = node.output.map((name) => [...names].find(([, from]) => from === name)?.[0] ?? '');
  const others = [...names].filter(([name]) => !output.includes(name));
  return [
    ...before,
    copyNode(node, { input, output }),
    ...others.map(([name, from]) =>
      makeNode('Identity', `${name}.Same`, [output[node.output.indexOf(from)] ?? ''], [name]),
    ),
  ];
}

/** One QuantizeLinear for each value and parameters. */
function joinEqual({ graph }: Model): void {
  const kept = new Map<string, string>();
  const renamed = new Map<string, string>();
  graph.node = graph.node.filter(({ opType, input, output }) => {
    if (opType !== 'QuantizeLinear') return true;
    const [result = ''] = output;
    const key = input.join('\n');
    const known = kept.get(key);
    if (known === undefined) kept.set(key, result);
    else renamed.set(result, known);
    return known === undefined;
  });
  for (const node of graph.node) node.input = node.input.map((name) => renamed.get(name) ?? name);
}
