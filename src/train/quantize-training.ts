/**
 * Quantization-aware training: fake quantization put into the training graph where a recipe has integers, with scales that
 * are trained, and from what was learned the INT8 model.
 */
import { UsageError } from '../base/errors.ts';
import { GraphBuilder, type Value } from '../onnx/builder.ts';
import type { Model } from '../onnx/read.ts';
import { replaceUses, sortTopologically } from '../onnx/rewrite.ts';
import { makeTensor, tensorBytes } from '../onnx/tensor.ts';
import { DataType, elementCount, type NodeProto } from '../onnx/types.ts';
import { modelBytes } from '../onnx/write.ts';
import { plannedActivations, plannedWeights, type QuantizationPlan } from '../quant/plan.ts';
import type { PlannedActivation, PlannedWeight } from '../quant/plan-entry.ts';
import { type Quantized, quantizeModel } from '../quant/quantize.ts';
import type { Recipe } from '../quant/recipe.ts';
import { affineOf, HIGHEST_OF_BITS, type Range, type Scheme, SMALLEST_SCALE, UINT8 } from '../quant/scheme.ts';
import { chooseScales, type Scales } from '../quant/techniques/rounding.ts';
import type { RoundedWeight } from '../quant/weights.ts';
import { Session } from '../runtime/session.ts';
import { copyTensor, floatData, floats, type Tensor, tensor } from '../runtime/tensor.ts';
import { elementsPerScale, fakeQuantize } from './fake-quantize.ts';
import { SCALE_SUFFIX } from './parameter.ts';

/** A scale that is trained: an input of the training graph. */
export interface LearnedScale {
  readonly name: string;
  readonly initial: Tensor;
}

/** A plan with the scales that it begins with. */
export interface TrainablePlan {
  readonly plan: QuantizationPlan;
  readonly scales: readonly LearnedScale[];
  /** By the name of the weight. */
  readonly ofWeights: ReadonlyMap<string, Scales>;
}

/** What quantization-aware training needs beside a checkpoint. */
export interface QuantizedTraining {
  readonly recipe: Recipe;
  readonly trainable: TrainablePlan;
}

const weightScaleName = ({ weight }: PlannedWeight) => `${weight.name}${SCALE_SUFFIX}`;
const activationScaleName = ({ source }: PlannedActivation) => `${source}${SCALE_SUFFIX}`;
const weightScheme = ({ scheme }: PlannedWeight): Scheme => {
  const highest = HIGHEST_OF_BITS[scheme.bits];
  return { lowest: -highest, highest, symmetric: true };
};

/** @throws UsageError if the plan has what cannot be trained */
function checkTrainable({ recipe, entries, clips }: QuantizationPlan): void {
  if (
    recipe.text?.treatment === 'buckets' ||
    entries.some(({ activations }) => activations.some((each) => each.byLength))
  )
    throw new UsageError(
      `The recipe ${recipe.name} looks ranges up by the length of the text, which cannot be trained; use treatment: dynamic.`,
    );
  if (clips.length > 0)
    throw new UsageError(`The recipe ${recipe.name} clips results, which cannot be trained; leave \`clip\` out.`);
}

/**
 * The scales that quantizing without training has: those of the weights as they are, and those of the ranges of a resolved
 * plan.
 *
 * @throws UsageError if the plan clips results or looks ranges up by the length of the text
 */
export async function startScales(plan: QuantizationPlan): Promise<TrainablePlan> {
  checkTrainable(plan);
  const ofWeights = new Map<string, Scales>();
  const scales = new Map<string, LearnedScale>();
  for (const planned of plannedWeights(plan)) {
    if (ofWeights.has(planned.weight.name)) continue;
    const chosen = await chooseScales(planned.weight, planned.scheme, planned.axis);
    ofWeights.set(planned.weight.name, chosen);
    scales.set(planned.weight.name, { name: weightScaleName(planned), initial: chosen.scale });
  }
  for (const { source, range } of plannedActivations(plan))
    if (range && !scales.has(source)) {
      const name = `${source}${SCALE_SUFFIX}`;
      scales.set(source, { name, initial: floats(Float32Array.of(affineOf(range, UINT8).scale), [1]) });
    }
  return { plan, scales: [...scales.values()], ofWeights };
}

/** The scalar input that turns fake quantization on. */
export const ENABLED = 'fake_quantization';

/**
 * Puts the plan into a training graph. Nodes are found by their names; those that the graph does not have are left out.
 * @returns the names of values through which no gradient passes: what ranges of a run are found from
 */
export function insertFakeQuantization(
  model: Model,
  trainable: TrainablePlan,
  batch: number,
): { model: Model; detached: string[] } {
  const nodes = new Map(model.graph.node.map((node) => [node.name, copyNode(node)]));
  model.graph.node = [...nodes.values()];
  const b = new GraphBuilder(model.graph.name, model);
  const enabled = b.input(ENABLED, DataType.FLOAT, []);
  for (const { name, initial } of trainable.scales) b.input(name, DataType.FLOAT, initial.shape);
  const insertion = new Insertion(b, enabled, batch);
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
  const own = new Set(finished.graph.node.filter(({ name }) => name.startsWith(`${SCOPE}.`)));
  for (const [from, to] of results) replaceUses(finished.graph, from, to, own);
  sortTopologically(finished.graph);
  return { model: finished, detached: insertion.detached };
}

const SCOPE = 'fake_quantization';
const copyNode = (node: NodeProto): NodeProto => ({ ...node, input: [...node.input], output: [...node.output] });
const redirect = (node: NodeProto, index: number, to: string) => {
  node.input[index] = to;
};

/** The fake-quantized forms of values, each made once. */
class Insertion {
  readonly detached: string[] = [];
  readonly #b: GraphBuilder;
  readonly #enabled: Value;
  readonly #batch: number;
  readonly #made = new Map<string, string>();

  constructor(b: GraphBuilder, enabled: Value, batch: number) {
    this.#b = b;
    this.#enabled = enabled;
    this.#batch = batch;
  }

  weight(planned: PlannedWeight, { multipliers }: Scales, value: string): string {
    return this.#once(value, planned.weight.name, () => {
      const b = this.#b;
      const x = b.value(value);
      const dims = planned.weight.dims.map(Number);
      const channels = dims[planned.axis] ?? 1;
      const column = dims.map((_, axis) => (axis === planned.axis ? channels : 1));
      const scale = b.reshape(this.#scale(weightScaleName(planned)), column);
      const elements = elementsPerScale(dims, channels);
      const quantize = (of: Value) => this.#quantize(of, scale, 0, weightScheme(planned), elements);
      if (!multipliers) return quantize(x);
      // The blocks' multiples of the scale stay as they are; the scale is trained.
      const multiples = b.constant(expandBlocks(multipliers, dims, planned.scheme.block), dims);
      return b.mul(quantize(b.div(x, multiples)), multiples);
    });
  }

  activation(planned: PlannedActivation, value: string): string {
    const { range } = planned;
    return this.#once(value, range ? planned.source : 'dynamic', () => {
      const x = this.#b.value(value);
      const shape = (x.shape ?? []).map(Number);
      if (!range) return this.#dynamic(x, shape);
      const { zeroPoint } = affineOf(range, UINT8);
      const elements = elementsPerScale(shape, 1, this.#batch);
      return this.#quantize(x, this.#scale(activationScaleName(planned)), zeroPoint, UINT8, elements);
    });
  }

  /** The range of each image's own values, as ONNX's DynamicQuantizeLinear finds it. */
  #dynamic(x: Value, shape: readonly number[]): Value {
    const b = this.#b;
    const seen = b.identity(x);
    this.detached.push(seen.name);
    // Rows of a batch lie one after the other, whatever else is in the first axis.
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

  /** A scale stays positive, whatever the optimizer does. */
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

/** The multiple of every weight: that of its block. */
function expandBlocks({ data }: Tensor, [rows = 0, channels = 0]: readonly number[], block: number): Float32Array {
  return Float32Array.from({ length: rows * channels }, (_, index) => {
    const row = Math.floor(index / channels);
    return Number(data[Math.floor(row / block) * channels + (index % channels)]);
  });
}

/**
 * The INT8 model of trained weights and scales. `model` is built from the trained weights; `scaleOf` answers a learned
 * scale by its name.
 */
export async function exportTrained(
  model: Model,
  recipe: Recipe,
  trainable: TrainablePlan,
  scaleOf: (name: string) => Tensor,
  weightOf: (name: string) => PlannedWeight['weight'],
): Promise<Quantized> {
  const ranges = new Map<string, Range>();
  for (const planned of plannedActivations(trainable.plan)) {
    if (!planned.range) continue;
    const { zeroPoint } = affineOf(planned.range, UINT8);
    const scale = Math.max(floatData(scaleOf(activationScaleName(planned)))[0] ?? 0, SMALLEST_SCALE);
    ranges.set(planned.source, { min: (UINT8.lowest - zeroPoint) * scale, max: (UINT8.highest - zeroPoint) * scale });
  }
  const rounded = new Map<string, RoundedWeight>();
  for (const planned of plannedWeights(trainable.plan)) {
    const { name } = planned.weight;
    const scales = trainable.ofWeights.get(name);
    if (rounded.has(name) || !scales) continue;
    rounded.set(name, await roundLearned(planned, scales, scaleOf(weightScaleName(planned)), weightOf(name)));
  }
  return quantizeModel(model, { ...recipe, techniques: [] }, { ranges, rounded });
}

/** Integers of a weight [its shape] by its learned scale, computed in the order in which training does. */
async function roundLearned(
  planned: PlannedWeight,
  { multipliers }: Scales,
  scale: Tensor,
  weight: PlannedWeight['weight'],
): Promise<RoundedWeight> {
  const { name, dims } = weight;
  const shape = dims.map(Number);
  const column = shape.map((_, axis) => (axis === planned.axis ? -1 : 1));
  const multiples = multipliers && expandBlocks(multipliers, shape, planned.scheme.block);
  const { lowest, highest } = weightScheme(planned);
  const b = new GraphBuilder('rounding');
  const positive = b.max(b.input('scale', DataType.FLOAT, scale.shape), SMALLEST_SCALE);
  const divisor = b.expand(b.reshape(positive, column), shape);
  const values = b.input('weight', DataType.FLOAT, shape);
  const multiple = b.input('multiples', DataType.FLOAT, shape);
  b.output('values', b.clip(b.round(b.div(b.div(values, multiple), divisor)), lowest, highest));
  b.output('divisor', b.mul(divisor, multiple));
  b.output('positive', positive);
  await using session = await Session.create(modelBytes(b.finish()), {}, `the rounding of ${name}`);
  using outputs = await session.run({
    scale,
    weight: tensor(tensorBytes(weight), shape, DataType.FLOAT),
    multiples: floats(multiples ?? new Float32Array(elementCount(shape)).fill(1), shape),
  });
  const stored = (output: string, suffix: string) => {
    const found = copyTensor(outputs.get(output));
    return makeTensor(`${name}.${suffix}`, found.shape, found.data, found.type);
  };
  return {
    values: stored('values', 'rounded'),
    scale: stored('positive', 'scale'),
    divisor: stored('divisor', 'divisor'),
    multipliers:
      multipliers && makeTensor(`${name}.multipliers`, multipliers.shape, multipliers.data, multipliers.type),
  };
}
