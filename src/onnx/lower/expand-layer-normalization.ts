/**
 * Writes LayerNormalization as the chain of nodes that exporters wrote before version 17 of the operators, for runtimes that do
 * not have the operator. Runtimes recognise this chain and fuse it again.
 */
import { InputError } from '../../base/errors.ts';
import { findAttribute, integerAttribute } from '../attributes.ts';
import { inferShapes } from '../infer/infer.ts';
import { isStandardDomain, standardVersion } from '../opset.ts';
import type { Model } from '../read.ts';
import { makeNode } from '../rewrite.ts';
import { makeTensor } from '../tensor.ts';
import { DataType, type NodeProto, type TensorInfo } from '../types.ts';
import { UniqueNames } from './unique-names.ts';

/** The version from which reductions have their axes as an input. */
const AXES_ARE_INPUTS = 18;
/** The epsilon of a node that states none. */
const EPSILON = 1e-5;

/** The nodes of one replacement, and the functions by which they get names and constants. */
interface Parts {
  readonly nodes: NodeProto[];
  readonly unique: (part: string) => string;
  readonly store: (part: string, shape: readonly number[], data: Float32Array | BigInt64Array) => string;
  readonly axesAreInputs: boolean;
}

/**
 * Replaces each LayerNormalization of the main graph: (x − mean) / √(variance + ε) · scale + bias over the last axes.
 *
 * @param model is changed
 * @param source names the model in errors
 * @returns the number of nodes that were replaced
 * @throws InputError if a node gives out its mean, or normalizes another type than float
 */
export function expandLayerNormalization(model: Model, source: string): number {
  const { graph } = model;
  const before = graph.node.filter(isLayerNormalization).length;
  if (before === 0) return 0;
  const infos = inferShapes(model);
  const names = UniqueNames.of(graph);
  graph.node = graph.node.flatMap((node) => {
    if (!isLayerNormalization(node)) return [node];
    const base = node.name || (node.output[0] ?? '');
    const unique = (part: string) => names.take(`${base}.${part}`);
    const store: Parts['store'] = (part, shape, data) => {
      const name = unique(part);
      graph.initializer.push(makeTensor(name, shape, data));
      return name;
    };
    const axes = axesOf(node, infos.get(node.input[0] ?? ''), source);
    return expand(node, axes, { nodes: [], unique, store, axesAreInputs: standardVersion(model) >= AXES_ARE_INPUTS });
  });
  return before;
}

const isLayerNormalization = ({ opType, domain }: NodeProto) =>
  opType === 'LayerNormalization' && isStandardDomain(domain);

/** The axes that a node normalizes, counted from the end. */
function axesOf(node: NodeProto, info: TensorInfo | undefined, source: string): number[] {
  const fail = (reason: string): never => {
    throw new InputError(`${source}: the node ${node.name || node.output[0]} (LayerNormalization) ${reason}.`);
  };
  if (node.output.slice(1).some(Boolean)) fail('gives out its mean or its deviation, which its parts do not');
  if (info !== undefined && info.type !== DataType.FLOAT) fail('normalizes another type than float');
  const axis = integerAttribute(node, 'axis', -1);
  const rank = axis < 0 ? 0 : (info?.shape?.length ?? fail('normalizes a value of unknown dimensions'));
  return Array.from({ length: rank - axis }, (_, index) => index + axis - rank);
}

function expand(node: NodeProto, axes: readonly number[], { nodes, unique, store, axesAreInputs }: Parts): NodeProto[] {
  const [x = '', scale = '', bias] = node.input;
  const emit = (operator: string, inputs: readonly string[], attributes?: Parameters<typeof makeNode>[4]): string => {
    const result = unique(operator.toLowerCase());
    nodes.push(makeNode(operator, unique(operator), inputs, [result], attributes));
    return result;
  };
  const mean = (of: string) =>
    axesAreInputs
      ? emit('ReduceMean', [of, store('axes', [axes.length], BigInt64Array.from(axes, BigInt))])
      : emit('ReduceMean', [of], { axes });
  const epsilon = store('epsilon', [], Float32Array.of(findAttribute(node, 'epsilon')?.f ?? EPSILON));
  const centred = emit('Sub', [x, mean(x)]);
  const variance = mean(emit('Pow', [centred, store('two', [], Float32Array.of(2))]));
  const deviation = emit('Sqrt', [emit('Add', [variance, epsilon])]);
  const scaled = emit('Mul', [emit('Div', [centred, deviation]), scale]);
  if (bias) emit('Add', [scaled, bias]);
  const last = nodes.at(-1);
  if (last) last.output = node.output.slice(0, 1);
  return nodes;
}
