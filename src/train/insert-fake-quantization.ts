/** Puts fake quantization into a training graph, at every place where a plan has integers. */
import { GraphBuilder, type Value } from '../onnx/builder.ts';
import type { Model } from '../onnx/read.ts';
import { copyNode, replaceUses, sortTopologically } from '../onnx/rewrite.ts';
import { DataType, type NodeProto } from '../onnx/types.ts';
import { plannedActivations, plannedWeights } from '../quant/plan.ts';
import type { PlannedActivation, PlannedWeight } from '../quant/plan-entry.ts';
import { affineOf, type Scheme, SMALLEST_SCALE, UINT8 } from '../quant/scheme.ts';
import type { Scales } from '../quant/techniques/rounding.ts';
import { elementsPerScale, fakeQuantize } from './fake-quantize.ts';
import {
  activationScaleName,
  expandBlocks,
  type TrainablePlan,
  weightScaleName,
  weightScheme,
} from './learned-scales.ts';

/** The name of the scalar input that turns fake quantization on where it is greater than 0. */
export const ENABLED = 'fake_quantization';

/** A training graph with fake quantization. */
export interface FakeQuantized {
  readonly model: Model;
  /** Names of values to detach: the copies of activations from which dynamic ranges are computed. */
  readonly detached: readonly string[];
}

/**
 * Puts fake quantization into a training graph where the plan has integers. The nodes of the plan are found by their names;
 * a training graph lacks nodes of the inference graph, such as those behind its last head.
 * @param model of static shapes; its nodes are replaced
 * @param batch the number of images in the first dimension of values
 */
export function insertFakeQuantization(model: Model, trainable: TrainablePlan, batch: number): FakeQuantized {
  const nodes = new Map(model.graph.node.map((node) => [node.name, copyNode(node)]));
  model.graph.node = [...nodes.values()];
  const b = new GraphBuilder(model.graph.name, model);
  const enabled = b.input(ENABLED, DataType.FLOAT, []);
  for (const { name, initial } of trainable.scales) b.input(name, DataType.FLOAT, initial.shape);
  const insertion = new Insertion(b, enabled, batch, trainable.plan.target.activations);
  const results = new Map<string, string>();
  for (const planned of plannedWeights(trainable.plan)) {
    const node = nodes.get(planned.node);
    const scales = trainable.ofWeights.get(planned.weight.name);
    if (node && scales)
      redirect(node, planned.index, insertion.weight(planned, scales, node.input[planned.index] ?? ''));
  }
  for (const planned of plannedActivations(trainable.plan)) {
    const node = nodes.get(planned.node);
    if (!node) continue;
    if (planned.side === 'input')
      redirect(node, planned.index, insertion.activation(planned, node.input[planned.index] ?? ''));
    else results.set(node.output[planned.index] ?? '', insertion.activation(planned, node.output[planned.index] ?? ''));
  }
  const finished = b.finish();
  // The nodes that quantize a result go on to read it.
  const own = new Set(finished.graph.node.filter(({ name }) => name.startsWith(`${SCOPE}.`)));
  for (const [from, to] of results) replaceUses(finished.graph, from, to, own);
  sortTopologically(finished.graph);
  return { model: finished, detached: insertion.detached };
}

const SCOPE = 'fake_quantization';
const redirect = (node: NodeProto, index: number, to: string) => {
  node.input[index] = to;
};

/** The fake-quantized forms of values, each made once however many nodes use it. */
class Insertion {
  /** The copies of activations from which dynamic ranges are computed. */
  readonly detached: string[] = [];
  readonly #b: GraphBuilder;
  readonly #enabled: Value;
  readonly #batch: number;
  /** The integers of static activations. */
  readonly #scheme: Scheme;
  readonly #made = new Map<string, string>();

  constructor(b: GraphBuilder, enabled: Value, batch: number, scheme: Scheme) {
    this.#b = b;
    this.#scheme = scheme;
    this.#enabled = enabled;
    this.#batch = batch;
  }

  /** @returns the name of the quantized form of a weight, which is the value `value` of the training graph */
  weight(planned: PlannedWeight, { multipliers }: Scales, value: string): string {
    return this.#once(value, planned.weight.name, () => {
      const b = this.#b;
      const x = b.value(value);
      const dims = planned.weight.dims.map(Number);
      const channels = dims[planned.axis] ?? 1;
      const scales = planned.scheme.per === 'tensor' ? 1 : channels;
      const column = dims.map((_, axis) => (axis === planned.axis ? scales : 1));
      const scale = b.reshape(this.#scale(weightScaleName(planned)), column);
      const elements = elementsPerScale(dims, scales);
      const quantize = (of: Value) => this.#quantize(of, scale, 0, weightScheme(planned), elements);
      if (!multipliers) return quantize(x);
      // The scale is trained; the multiples of it that the blocks have stay as they are.
      const multiples = b.constant(expandBlocks(multipliers, dims, planned.scheme.block), dims);
      return b.mul(quantize(b.div(x, multiples)), multiples);
    });
  }

  /** @returns the name of the quantized form of an activation, by its learned scale or by the range of the run */
  activation(planned: PlannedActivation, value: string): string {
    const { range } = planned;
    return this.#once(value, range ? planned.source : 'dynamic', () => {
      const x = this.#b.value(value);
      const shape = (x.shape ?? []).map(Number);
      if (!range) return this.#dynamic(x, shape);
      const { zeroPoint } = affineOf(range, this.#scheme);
      const elements = elementsPerScale(shape, 1, this.#batch);
      return this.#quantize(x, this.#scale(activationScaleName(planned)), zeroPoint, this.#scheme, elements);
    });
  }

  /** Quantization by the range of each image's own values, which ONNX's DynamicQuantizeLinear computes in a run. */
  #dynamic(x: Value, shape: readonly number[]): Value {
    const b = this.#b;
    const seen = b.identity(x);
    this.detached.push(seen.name);
    // The rows of an image are contiguous, whatever else the first dimension has, such as windows.
    const images = shape[0] !== undefined && shape[0] % this.#batch === 0 ? this.#batch : 1;
    const perImage = b.reshape(seen, [images, -1]);
    const low = b.min(b.reduceMin(perImage, [1]), 0);
    const high = b.max(b.reduceMax(perImage, [1]), 0);
    const scale = b.max(b.div(b.sub(high, low), UINT8.highest), SMALLEST_SCALE);
    const zeroPoint = b.clip(b.round(b.neg(b.div(low, scale))), UINT8.lowest, UINT8.highest);
    const rows = b.reshape(x, [images, -1]);
    const quantized = fakeQuantize(b, {
      x: rows,
      scale,
      zeroPoint,
      scheme: UINT8,
      enabled: this.#enabled,
      elements: 1,
    });
    return b.reshape(quantized, [...shape]);
  }

  #quantize(x: Value, scale: Value, zeroPoint: number, scheme: Scheme, elements: number): Value {
    return fakeQuantize(this.#b, { x, scale, zeroPoint, scheme, enabled: this.#enabled, elements });
  }

  /** A scale as a value that stays positive, whatever the optimizer does. */
  #scale(name: string): Value {
    return this.#b.max(this.#b.value(name), SMALLEST_SCALE);
  }

  #once(value: string, kind: string, make: () => Value): string {
    const key = `${value} ${kind}`;
    const known = this.#made.get(key);
    if (known !== undefined) return known;
    const made = this.#b.scope(`${SCOPE}.${value.split('/')[0]}`, make).name;
    this.#made.set(key, made);
    return made;
  }
}
