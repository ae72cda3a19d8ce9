/** Blocks of attention within windows of a map, recognized node by node in a quantized graph. */
import { integerAttribute, integersAttribute } from '../../../onnx/attributes.ts';
import { type GraphIndex, isStandard, onlyProducer, onlyReader } from '../../../onnx/graph-index.ts';
import type { Infos } from '../../../onnx/infer/infer.ts';
import { tensorElements } from '../../../onnx/tensor.ts';
import { DataType, type NodeProto, type TensorProto } from '../../../onnx/types.ts';
import { type Layer, layerOf, quantizesFor } from './linear-blocks.ts';
import {
  isComputable,
  isRangeOf,
  isSameRange,
  pairOf,
  type Range,
  type ResidualSum,
  rangeOf,
  sumsOf,
} from './residual-sum.ts';
import { regionBefore, type WindowRegions } from './window-regions.ts';

/** A block of attention within windows. */
export interface WindowBlock extends WindowRegions {
  readonly norm: NodeProto;
  /** The layers to queries, keys and values: three, or one with their columns side by side. */
  readonly projections: readonly Layer[];
  readonly output: Layer;
  readonly biasName: string;
  readonly queryScale: number;
  /** The ranges of queries, keys and values where the products of the attention are products of integers. */
  readonly ranges: readonly Range[] | undefined;
  readonly sum: ResidualSum;
  readonly channels: number;
}

/** The attention itself, in the middle of a block. */
interface Core
  extends Pick<WindowBlock, 'biasing' | 'biasName' | 'bias' | 'heads' | 'window' | 'queryScale' | 'ranges'> {
  /** Queries, keys and values [batch · windows, tokens, channels]. */
  readonly values: readonly string[];
  /** The product of probabilities and values. */
  readonly mix: NodeProto;
}

/** A value that a product reads, and its range if the product reads integers. */
interface Operand {
  readonly value: string;
  readonly range: Range | undefined;
}

/** Recognizes blocks in a graph. */
export class WindowBlockFinder {
  readonly #index: GraphIndex;
  readonly #infos: Infos;

  constructor(index: GraphIndex, infos: Infos) {
    this.#index = index;
    this.#infos = infos;
  }

  /** The block of which a Softmax is the middle; undefined if anything differs. */
  blockAround(softmax: NodeProto): WindowBlock | undefined {
    const core = this.#coreAround(softmax);
    const projections = core && projectionsOf(core.values, this.#index, this.#infos);
    const [projection] = projections ?? [];
    const output = core && projection && this.#outputBehind(core.mix, projection.dims[0], core.window ** 2);
    if (!core || !projections || !projection || !output) return undefined;
    const map = this.#mapBefore(projection);
    const end = map && this.#sumBehind(output.product.output[0] ?? '', map.norm.input[0] ?? '');
    const [channels] = projection.dims;
    if (!map || !end || channels % core.heads !== 0) return undefined;
    return { ...core, ...map, ...end, projections, output, channels };
  }

  #coreAround(softmax: NodeProto): Core | undefined {
    const [biased = '', weights = ''] = [softmax.input[0], softmax.output[0]];
    const isProduct = (name: string) => isStandard(this.#index.producer.get(name), 'MatMul');
    const biasing = regionBefore(biased, isProduct, this.#index);
    const scores = this.#index.producer.get(biasing?.input ?? '');
    const weightPair = pairOf(onlyReader(softmax, this.#index), this.#index);
    const mix = onlyReader(weightPair ?? softmax, this.#index);
    const isLast = [-1, 3].includes(integerAttribute(softmax, 'axis', -1));
    const isMix = isStandard(mix, 'MatMul') && mix.input[0] === (weightPair?.output[0] ?? weights);
    if (!biasing || !scores || !isLast || !isMix) return undefined;
    const queries = this.#operand(scores.input[0]);
    const scaled = onlyProducer(queries?.value, this.#index);
    const at = scaled?.input.findIndex((name) => this.#index.initializer.has(name)) ?? -1;
    const [queryScale, ...others] = this.#numbers(scaled?.input[at]);
    if (!isStandard(scaled, 'Mul') || queryScale === undefined || others.length > 0) return undefined;

    const biasName = [...biasing.nodes]
      .flatMap(({ input }) => input)
      .find((name) => isPositionBias(this.#index.initializer.get(name)));
    const stored = this.#index.initializer.get(biasName ?? '');
    const [heads = 0, tokens = 0] = stored?.dims.map(Number) ?? [];
    const window = Math.round(Math.sqrt(tokens));
    if (!stored || biasName === undefined || window ** 2 !== tokens) return undefined;
    const keys = this.#operandByHead(scores.input[1], [0, 2, 3, 1], heads, tokens);
    const mixed = this.#operandByHead(mix.input[1], [0, 2, 1, 3], heads, tokens);
    const values = [
      this.#beforeHeads(scaled.input[1 - at], [0, 2, 1, 3], heads, tokens),
      keys?.value,
      mixed?.value,
    ].filter((value) => value !== undefined);
    const found = [queries?.range, keys?.range, mixed?.range];
    const ranges = weightPair && this.#rangesOf(found);
    if (values.length !== 3 || (!ranges && [weightPair, ...found].some(Boolean))) return undefined;
    const bias = Float32Array.from(tensorElements(stored), Number);
    return { biasing, biasName, bias, heads, window, queryScale, ranges, values, mix };
  }

  /**
   * The ranges of queries, keys and values: undefined unless all are there and of the types that the kernel reads. The kernel needs
   * no range of the weights (byte-weights.ts).
   */
  #rangesOf(found: readonly (Range | undefined)[]): readonly Range[] | undefined {
    const types = [DataType.UINT8, DataType.INT8, DataType.INT8];
    const ranges = found.filter((range) => range !== undefined);
    const isWhole = types.every((type, at) => ranges[at] && isRangeOf(ranges[at], type, this.#infos));
    return ranges.length === types.length && isWhole ? ranges : undefined;
  }

  /** The value that a product reads, as it is or by way of integers. */
  #operand(name: string | undefined): Operand | undefined {
    const dequantizer = onlyProducer(name, this.#index);
    if (!isStandard(dequantizer, 'DequantizeLinear'))
      return name === undefined ? undefined : { value: name, range: undefined };
    const quantizer = onlyProducer(dequantizer.input[0], this.#index);
    const range = rangeOf(dequantizer);
    const isPair = isStandard(quantizer, 'QuantizeLinear') && isSameRange(rangeOf(quantizer), range);
    return isPair ? { value: quantizer.input[0] ?? '', range } : undefined;
  }

  /** The same for a value whose heads are the second axis; its integers may be made before the heads are split. */
  #operandByHead(name: string | undefined, order: number[], heads: number, tokens: number): Operand | undefined {
    const dequantizer = onlyProducer(name, this.#index);
    const bytes = isStandard(dequantizer, 'DequantizeLinear') ? dequantizer.input[0] : undefined;
    const early = bytes === undefined ? undefined : this.#beforeHeads(bytes, order, heads, tokens);
    if (early !== undefined && dequantizer) {
      const quantizer = onlyProducer(early, this.#index);
      const range = rangeOf(dequantizer);
      const isPair = isStandard(quantizer, 'QuantizeLinear') && isSameRange(rangeOf(quantizer), range);
      return isPair ? { value: quantizer.input[0] ?? '', range } : undefined;
    }
    const operand = this.#operand(name);
    const value = this.#beforeHeads(operand?.value, order, heads, tokens);
    return operand && value !== undefined ? { value, range: operand.range } : undefined;
  }

  /** The value [batch · windows, tokens, channels] whose heads are the second axis of `name`, after a transposition. */
  #beforeHeads(name: string | undefined, order: number[], heads: number, tokens: number): string | undefined {
    const transposed = onlyProducer(name, this.#index);
    const reshaped = onlyProducer(transposed?.input[0], this.#index);
    if (!isStandard(transposed, 'Transpose') || !isStandard(reshaped, 'Reshape') || !hasOrder(transposed, order))
      return undefined;
    const [source = '', shape] = reshaped.input;
    const [rows, channels] = this.#infos.get(source)?.shape?.slice(-2) ?? [];
    const [batch, second, parts, rest] = this.#numbers(shape);
    const isRest = rest === -1 ? batch === 0 : typeof channels === 'number' && rest === channels / heads;
    const isSplit = parts === heads && (second === 0 || second === tokens) && isRest;
    return isSplit && rows === tokens ? source : undefined;
  }

  /** The layer behind the attention, which reads the heads side by side again, as bytes. */
  #outputBehind(mix: NodeProto, channels: number, tokens: number): Layer | undefined {
    const quantized = onlyReader(mix, this.#index);
    const merged = onlyReader(quantized, this.#index);
    const context = onlyReader(merged, this.#index);
    const product = onlyReader(context, this.#index);
    const layer = product && layerOf(product, this.#index, this.#infos);
    if (
      !isStandard(quantized, 'QuantizeLinear') ||
      !isStandard(merged, 'Transpose') ||
      !isStandard(context, 'Reshape') ||
      !layer
    )
      return undefined;
    const [batch, rows, rest] = this.#numbers(context.input[1]);
    const isMerged = (rows === 0 || rows === tokens) && (rest === channels || (rest === -1 && batch === 0));
    const isSquare = layer.dims.every((size) => size === channels) && context.output[0] === product.input[0];
    return isMerged && isSquare && hasOrder(merged, [0, 2, 1, 3]) && quantizesFor(quantized, layer) ? layer : undefined;
  }

  /** The normalized map that tokens are taken from. */
  #mapBefore(projection: Layer): Pick<WindowBlock, 'partition' | 'zeroPoint' | 'norm'> | undefined {
    const { producer } = this.#index;
    const isQuantized = (name: string) => isStandard(producer.get(name), 'QuantizeLinear');
    const partition = regionBefore(projection.product.input[0] ?? '', isQuantized, this.#index);
    const quantizer = producer.get(partition?.input ?? '');
    const norm = producer.get(quantizer?.input[0] ?? '');
    const [zeroPoint, ...others] = this.#numbers(quantizer?.input[2]);
    if (!partition || !quantizer || !isStandard(norm, 'LayerNormalization') || !quantizesFor(quantizer, projection))
      return undefined;
    const [channels] = projection.dims;
    const shape = this.#infos.get(norm.input[0] ?? '')?.shape;
    const isMap = shape?.length === 4 && shape[3] === channels && isOverChannels(norm, channels, this.#index);
    return isMap && zeroPoint !== undefined && others.length === 0 ? { partition, zeroPoint, norm } : undefined;
  }

  /** The sum of the map `x` and of the values that `result` gives its positions, which are moved as bytes if the sum is rounded. */
  #sumBehind(result: string, x: string): Pick<WindowBlock, 'restoration' | 'movesBytes' | 'sum'> | undefined {
    for (const sum of sumsOf(x, this.#index)) {
      const [, ofBranch] = sum.rounding ?? [];
      const quantizer = ofBranch && this.#index.consumers.get(result)?.[0];
      const isQuantized =
        isStandard(quantizer, 'QuantizeLinear') && ofBranch !== undefined && isSameRange(rangeOf(quantizer), ofBranch);
      if (!isComputable(sum, this.#infos) || isQuantized !== (sum.rounding !== undefined)) continue;
      const moved = quantizer?.output[0] ?? result;
      const restoration = regionBefore(sum.branch, (name) => name === moved, this.#index);
      if (restoration) return { restoration, movesBytes: isQuantized, sum };
    }
    return undefined;
  }

  /** The numbers of a stored tensor; empty if the value is not stored. */
  #numbers(name = ''): number[] {
    const tensor = this.#index.initializer.get(name);
    return tensor ? Array.from(tensorElements(tensor), Number) : [];
  }
}

const hasOrder = (transpose: NodeProto, order: readonly number[]) =>
  integersAttribute(transpose, 'perm')?.join() === order.join();

/** A stored tensor [heads, tokens, tokens] of floats. */
function isPositionBias(tensor: TensorProto | undefined): boolean {
  const isFloat = tensor?.dataType === DataType.FLOAT && tensor.dims.length === 3;
  return isFloat && (tensor.dims[0] ?? 0n) > 0n && tensor.dims[1] === tensor.dims[2];
}

/** True if a map is normalized over its channels, by vectors. */
function isOverChannels(norm: NodeProto, channels: number, { initializer }: GraphIndex): boolean {
  const isVector = (name = '') => {
    const dims = initializer.get(name)?.dims ?? [];
    return dims.length === 1 && dims[0] === BigInt(channels);
  };
  const isLast = [-1, 3].includes(integerAttribute(norm, 'axis', -1));
  return (
    isLast && norm.output.length === 1 && norm.input.length === 3 && isVector(norm.input[1]) && isVector(norm.input[2])
  );
}

/** The layers whose results are queries, keys and values; undefined if they do not read the same, or if one is missing. */
function projectionsOf(values: readonly string[], index: GraphIndex, infos: Infos): readonly Layer[] | undefined {
  const { producer, initializer } = index;
  const layerBehind = (name: string) => {
    const node = producer.get(name);
    const layer = node && layerOf(node, index, infos);
    const scale = initializer.get(layer?.product.input[3] ?? '');
    return layer && scale?.dims.length === 1 && scale.dims[0] === BigInt(layer.dims[1]) ? layer : undefined;
  };
  const split = producer.get(values[0] ?? '');
  if (split?.opType === 'Split' && split.domain === '') {
    const layer = layerBehind(split.input[0] ?? '');
    const rank = infos.get(split.input[0] ?? '')?.shape?.length;
    const axis = integerAttribute(split, 'axis', 0);
    const isLast = axis === -1 || (rank !== undefined && axis === rank - 1);
    const isThree = split.output.length === 3 && split.output.every((name, at) => name === values[at]);
    const isEven = values.every((name) => infos.get(name)?.shape?.at(-1) === layer?.dims[0]);
    return layer && isLast && isThree && isEven && layer.dims[1] === 3 * layer.dims[0] ? [layer] : undefined;
  }
  const layers = values.flatMap((name) => layerBehind(name) ?? []);
  const [one] = layers;
  const isSame = ({ product, dims }: Layer) =>
    [0, 2, 4].every((at) => product.input[at] === one?.product.input[at]) &&
    dims.every((size) => size === one?.dims[0]);
  return layers.length === 3 && layers.every(isSame) ? layers : undefined;
}
