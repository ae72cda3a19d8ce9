/** Sine embeddings become one operator (sine-embedding-function.ts): the seven nodes from the division to the interleaved result. */
import { integerAttribute } from '../../../onnx/attributes.ts';
import { DOMAIN, SINE_EMBEDDING } from '../../../onnx/dino8-operators.ts';
import { type GraphIndex, indexGraph, isStandard, onlyProducer } from '../../../onnx/graph-index.ts';
import { type Infos, inferShapes } from '../../../onnx/infer/infer.ts';
import type { Model } from '../../../onnx/read.ts';
import { importDomain, makeNode, removeUnused } from '../../../onnx/rewrite.ts';
import { tensorElements } from '../../../onnx/tensor.ts';
import { DataType, type NodeProto } from '../../../onnx/types.ts';
import { rankOf, reshapesTo } from './attention-patterns.ts';
import { sineEmbeddingFunction } from './sine-embedding-function.ts';

/** Rewrites the model in place. Returns the number of operators that were made. */
export function fuseSineEmbedding(model: Model): number {
  const { graph } = model;
  const index = indexGraph(graph);
  const infos = inferShapes(model);
  let made = 0;
  graph.node = graph.node.map((node) => {
    const embedding = embeddingEndingIn(node, index, infos);
    if (embedding) made++;
    return embedding ?? node;
  });
  if (made === 0) return 0;
  model.functions.push(sineEmbeddingFunction());
  importDomain(model, DOMAIN);
  removeUnused(model);
  return made;
}

/** The operator in the place of a Reshape that joins sines and cosines [..., size / 2, 2]; undefined if it joins others. */
function embeddingEndingIn(reshape: NodeProto, index: GraphIndex, infos: Infos): NodeProto | undefined {
  const pairs = onlyProducer(reshape.input[0], index);
  const [sines, cosines, ...others] = pairs?.input.map((name) => onlyProducer(name, index)) ?? [];
  if (!isStandard(pairs, 'Concat') || !sines || !cosines || others.length > 0) return undefined;
  const [sine, cosine] = [onlyProducer(sines.input[0], index), onlyProducer(cosines.input[0], index)];
  const angles =
    isStandard(sine, 'Sin') && isStandard(cosine, 'Cos') ? index.producer.get(sine.input[0] ?? '') : undefined;
  const [position = '', wavelengths = ''] = angles?.input ?? [];
  if (!isStandard(angles, 'Div') || cosine?.input[0] !== sine?.input[0]) return undefined;
  const [shape, lengths] = [infos.get(position)?.shape, index.initializer.get(wavelengths)];
  const rank = rankOf(position, infos) ?? 0;
  const isLast = (axis: number | undefined) => axis === rank || axis === -1;
  const isPair = [sines, cosines].every((node) => isLast(insertedAxis(node, index)));
  if (!isPair || !isLast(integerAttribute(pairs, 'axis'))) return undefined;
  const isFloat = infos.get(position)?.type === DataType.FLOAT && lengths?.dataType === DataType.FLOAT;
  if (!isFloat || shape?.at(-1) !== 1 || lengths.dims.length !== 1) return undefined;
  // All dimensions stay but the last, which becomes the size of an embedding.
  const target = reshapesTo(reshape, index);
  const isJoined =
    target?.length === rank &&
    target.every((each, axis) => each === (axis < rank - 1 ? 0 : 2 * Number(lengths.dims[0])));
  if (!isJoined) return undefined;
  const node = makeNode(SINE_EMBEDDING, angles.name, [position, wavelengths], reshape.output);
  node.domain = DOMAIN;
  return node;
}

/** The axis that an Unsqueeze inserts; undefined if it is no Unsqueeze of one known axis. */
function insertedAxis(node: NodeProto, { initializer }: GraphIndex): number | undefined {
  const axes = isStandard(node, 'Unsqueeze') ? initializer.get(node.input[1] ?? '') : undefined;
  const [axis, ...others] = axes ? Array.from(tensorElements(axes), Number) : [];
  return others.length === 0 ? axis : undefined;
}
