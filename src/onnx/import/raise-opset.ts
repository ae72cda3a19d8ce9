/**
 * Raises the operator set of a model to the one that dino8 writes (21), as the ONNX specification's change log has it
 * (https://github.com/onnx/onnx/blob/main/docs/Changelog.md): attributes that became inputs, operators that were renamed,
 * and defaults that changed. Operators whose meaning stayed the same need no change.
 */
import { InputError } from '../../base/errors.ts';
import { findAttribute, integerAttribute, integersAttribute, setAttribute } from '../attributes.ts';
import { type Infos, inferShapes } from '../infer/infer.ts';
import { standardVersion } from '../opset.ts';
import type { Model } from '../read.ts';
import { makeNode } from '../rewrite.ts';
import { makeTensor, type TypedArray } from '../tensor.ts';
import { nodesOf, subgraphsOf } from '../traverse.ts';
import type { GraphProto, NodeProto } from '../types.ts';

const TARGET = 21;
const SOFTMAX = new Set(['Softmax', 'LogSoftmax', 'Hardmax']);
/** The version that changed the axes that Softmax, LogSoftmax and Hardmax normalise over. */
const SOFTMAX_CHANGED = 13;
/** Before this version operators broadcast in another way, and ONNX Runtime does not run them. */
const OLDEST = 7;
const IR_VERSION = 10n;

/** The facts about a graph that a conversion may ask for. */
interface Context {
  /** Stores a constant, and returns its name. */
  readonly store: (data: TypedArray, shape: readonly number[]) => string;
  /** The number of dimensions of a value; undefined if it is unknown. */
  readonly rankOf: (name: string) => number | undefined;
  readonly fail: (reason: string) => never;
}

/** Changes a node in place. */
type Conversion = (node: NodeProto, context: Context) => void;

interface Change {
  /** The version of the operator set that changed the operator. */
  readonly since: number;
  readonly convert: Conversion;
}

/**
 * Rewrites a model to operator set 21. A newer model stays as it is.
 *
 * @param model is changed
 * @param source names the model in errors
 * @returns the version that the model had
 * @throws InputError if the model is older than operator set 7, or has a node for which there is no rule
 * @example
 * const version = raiseOpset(model, 'model.onnx');
 */
export function raiseOpset(model: Model, source: string): number {
  const version = standardVersion(model);
  if (version < OLDEST)
    throw new InputError(
      `${source} uses version ${version} of the ONNX operators; export it with version ${OLDEST} or later.`,
    );
  if (version >= TARGET) return version;
  let count = 0;
  const store: Context['store'] = (data, shape) => {
    const name = `dino8.opset.${count++}`;
    model.graph.initializer.push(makeTensor(name, shape, data));
    return name;
  };
  let infos: Infos = new Map();
  const rankOf = (name: string) => infos.get(name)?.shape?.length;
  const convertNode = (node: NodeProto, isSoftmax: boolean): readonly NodeProto[] => {
    const fail = (reason: string): never => {
      throw new InputError(`${source}: the node ${node.name || node.output[0]} (${node.opType}) ${reason}.`);
    };
    if (SOFTMAX.has(node.opType)) {
      const nodes = isSoftmax && version < SOFTMAX_CHANGED ? softmax(node, { store, rankOf, fail }) : undefined;
      return nodes ?? [node];
    }
    if (!isSoftmax)
      for (const { since, convert } of changesOf(node)) if (version < since) convert(node, { store, rankOf, fail });
    return [node];
  };
  convertGraph(model.graph, (node) => convertNode(node, false));
  // The conversion of Softmax needs the rank of its input, and shape inference knows the new operators only.
  infos = inferShapes(model);
  convertGraph(model.graph, (node) => convertNode(node, true));
  for (const body of model.functions)
    for (const node of nodesOf(body))
      if (changesOf(node).length > 0 && body.opsetImport.some((entry) => entry.domain === '' && entry.version < TARGET))
        throw new InputError(`${source} has the function ${body.name} in an old operator set; export it inlined.`);
  for (const entry of model.opsetImport)
    if (entry.domain === '' || entry.domain === 'ai.onnx') entry.version = BigInt(TARGET);
  if (model.irVersion < IR_VERSION) model.irVersion = IR_VERSION;
  return version;
}

function convertGraph(graph: GraphProto, convertNode: (node: NodeProto) => readonly NodeProto[]): void {
  graph.node = graph.node.flatMap((node) => {
    for (const inner of subgraphsOf(node)) convertGraph(inner, convertNode);
    return node.domain === '' || node.domain === 'ai.onnx' ? convertNode(node) : [node];
  });
}

const changesOf = ({ opType }: NodeProto): readonly Change[] =>
  (Object.hasOwn(RAISING, opType) ? RAISING[opType] : undefined) ?? [];

/** Moves a list of integers from an attribute to the input at the index `place`. */
const integersToInput =
  (name: string, place: number): Conversion =>
  (node, { store }) => {
    const values = integersAttribute(node, name);
    dropAttribute(node, name);
    if (values) setInput(node, place, store(BigInt64Array.from(values, BigInt), [values.length]));
  };

/** Moves a float from an attribute to the input at the index `place`, as a scalar. */
const floatToInput =
  (name: string, place: number): Conversion =>
  (node, { store }) => {
    const value = findAttribute(node, name)?.f;
    dropAttribute(node, name);
    if (value !== undefined) setInput(node, place, store(Float32Array.of(value), []));
  };

function dropAttribute(node: NodeProto, name: string): void {
  node.attribute = node.attribute.filter((attribute) => attribute.name !== name);
}

function setInput(node: NodeProto, place: number, value: string): void {
  while (node.input.length < place) node.input.push('');
  node.input[place] = value;
}

const all =
  (...conversions: readonly Conversion[]): Conversion =>
  (node, context) => {
    for (const convert of conversions) convert(node, context);
  };

/** Since version 13 only one axis is normalised, by default the last one; before, all axes from `axis` on were normalised together. */
function softmax(node: NodeProto, { rankOf }: Context): readonly NodeProto[] | undefined {
  const axis = integerAttribute(node, 'axis', 1);
  const rank = rankOf(node.input[0] ?? '');
  if (axis === -1 || (rank !== undefined && axis === rank - 1)) {
    setAttribute(node, 'axis', -1);
    return undefined;
  }
  const [input = ''] = node.input;
  const [result = ''] = node.output;
  const inner = (part: string) => `${result}.${part}`;
  return [
    makeNode('Shape', inner('Shape'), [input], [inner('shape')]),
    makeNode('Flatten', inner('Flatten'), [input], [inner('flat')], { axis }),
    makeNode(node.opType, node.name, [inner('flat')], [inner('normalised')], { axis: -1 }),
    makeNode('Reshape', inner('Reshape'), [inner('normalised'), inner('shape')], [result]),
  ];
}

/** Resize of version 10 placed samples asymmetrically and had no attribute for it. */
const resize: Conversion = (node) => {
  const [x = '', scales = ''] = node.input;
  node.opType = 'Resize';
  node.input = [x, '', scales];
  setAttribute(node, 'coordinate_transformation_mode', 'asymmetric');
  setAttribute(node, 'nearest_mode', 'floor');
};

const upsampleScales: Conversion = (node, { store, fail }) => {
  const scales = findAttribute(node, 'scales')?.floats;
  if (!scales) return fail('has no scales');
  dropAttribute(node, 'scales');
  node.input = [node.input[0] ?? '', store(Float32Array.from(scales), [scales.length])];
};

/** Without training, dropout does nothing; its mask would be all true. */
const dropout: Conversion = (node, { fail }) => {
  if (node.output[1]) return fail('gives out its mask, which dino8 cannot convert');
  node.opType = 'Identity';
  node.attribute = [];
  node.output = node.output.slice(0, 1);
};

const splitEvenly: Conversion = (node) => {
  if (!node.input[1]) setAttribute(node, 'num_outputs', node.output.length);
};

const refuse =
  (reason: string): Conversion =>
  (_, { fail }) =>
    fail(reason);

const renameMode: Conversion = (node) => {
  const mode = new TextDecoder().decode(findAttribute(node, 'mode')?.s ?? new Uint8Array(0));
  if (mode === 'bilinear' || mode === '') setAttribute(node, 'mode', 'linear');
  if (mode === 'bicubic') setAttribute(node, 'mode', 'cubic');
};

const roiAlign: Conversion = (node) => {
  if (!findAttribute(node, 'coordinate_transformation_mode'))
    setAttribute(node, 'coordinate_transformation_mode', 'output_half_pixel');
};

const topK: Conversion = (node, { store }) => {
  const k = integerAttribute(node, 'k', 1);
  dropAttribute(node, 'k');
  setInput(node, 1, store(BigInt64Array.of(BigInt(k)), [1]));
};

const padMode: Conversion = (node, context) => {
  if (!findAttribute(node, 'pads')) return context.fail('has no pads');
  return all(integersToInput('pads', 1), floatToInput('value', 2))(node, context);
};

const renameScatter: Conversion = (node) => {
  node.opType = 'ScatterElements';
};

const clip: Conversion = all(floatToInput('min', 1), floatToInput('max', 2));

const reduceAxes: Change[] = [{ since: 18, convert: integersToInput('axes', 1) }];

/** The changes of each operator, the oldest first. */
export const RAISING: Readonly<Record<string, readonly Change[]>> = {
  Clip: [{ since: 11, convert: clip }],
  Dropout: [{ since: 12, convert: dropout }],
  GridSample: [{ since: 20, convert: renameMode }],
  GroupNormalization: [{ since: 21, convert: refuse('had a scale for each group in this version; export it with 21') }],
  Pad: [{ since: 11, convert: padMode }],
  ReduceL1: reduceAxes,
  ReduceL2: reduceAxes,
  ReduceLogSum: reduceAxes,
  ReduceLogSumExp: reduceAxes,
  ReduceMax: reduceAxes,
  ReduceMean: reduceAxes,
  ReduceMin: reduceAxes,
  ReduceProd: reduceAxes,
  ReduceSum: [{ since: 13, convert: integersToInput('axes', 1) }],
  ReduceSumSquare: reduceAxes,
  Resize: [{ since: 11, convert: resize }],
  RoiAlign: [{ since: 16, convert: roiAlign }],
  Scan: [
    { since: 9, convert: refuse('had a batch dimension in this version; export the model with version 9 or later') },
  ],
  Scatter: [{ since: TARGET, convert: renameScatter }],
  Slice: [
    { since: 10, convert: all(integersToInput('starts', 1), integersToInput('ends', 2), integersToInput('axes', 3)) },
  ],
  Split: [
    { since: 13, convert: integersToInput('split', 1) },
    { since: 18, convert: splitEvenly },
  ],
  Squeeze: [{ since: 13, convert: integersToInput('axes', 1) }],
  TopK: [{ since: 10, convert: topK }],
  Unsqueeze: [{ since: 13, convert: integersToInput('axes', 1) }],
  Upsample: [
    { since: 9, convert: upsampleScales },
    { since: TARGET, convert: resize },
  ],
};
