/** The INT8 model of trained weights and scales: it computes what the fake-quantized graph of the training computes. */
import { GraphBuilder } from '../onnx/builder.ts';
import type { Model } from '../onnx/read.ts';
import { makeTensor, tensorBytes } from '../onnx/tensor.ts';
import { DataType, elementCount, type TensorProto } from '../onnx/types.ts';
import { modelBytes } from '../onnx/write.ts';
import { plannedActivations, plannedWeights, type QuantizationPlan } from '../quant/plan.ts';
import type { PlanEntry, PlannedWeight } from '../quant/plan-entry.ts';
import { storePlanSummary, summarizePlan } from '../quant/plan-summary.ts';
import { type Quantized, quantizeModel } from '../quant/quantize.ts';
import { affineOf, type Range, SMALLEST_SCALE } from '../quant/scheme.ts';
import type { Scales } from '../quant/techniques/rounding.ts';
import type { RoundedWeight } from '../quant/weights.ts';
import { Session } from '../runtime/session.ts';
import { copyTensor, floatData, floats, type Tensor, tensor } from '../runtime/tensor.ts';
import {
  activationScaleName,
  expandBlocks,
  type TrainablePlan,
  weightScaleName,
  weightScheme,
} from './learned-scales.ts';

/** How the summary of the plan names the training. */
const TECHNIQUE = 'quantization-aware training';

/**
 * Carries out the plan of a training on the trained weights, with learned scales in place of calibrated ones.
 * @param model the float model, built from the trained weights; its graph is that of the plan
 * @param scaleOf returns a learned scale by its name
 * @throws UsageError or InputError as `quantizeModel` does
 */
export async function exportTrained(
  model: Model,
  { plan, ofWeights }: TrainablePlan,
  scaleOf: (name: string) => Tensor,
): Promise<Quantized> {
  const { activations: scheme } = plan.target;
  const ranges = new Map<string, Range>();
  for (const planned of plannedActivations(plan)) {
    if (!planned.range) continue;
    const { zeroPoint } = affineOf(planned.range, scheme);
    const scale = Math.max(floatData(scaleOf(activationScaleName(planned)))[0] ?? 0, SMALLEST_SCALE);
    ranges.set(planned.source, { min: (scheme.lowest - zeroPoint) * scale, max: (scheme.highest - zeroPoint) * scale });
  }
  const weights = new Map(model.graph.initializer.map((each) => [each.name, each]));
  const rounded = new Map<string, RoundedWeight>();
  for (const planned of plannedWeights(plan)) {
    const { name } = planned.weight;
    const [scales, weight] = [ofWeights.get(name), weights.get(name)];
    if (!weight) throw new Error(`${name} is no weight of the model`);
    if (rounded.has(name) || !scales) continue;
    rounded.set(name, await roundLearned({ ...planned, weight }, scales, scaleOf(weightScaleName(planned))));
  }
  const quantized = await quantizeModel(model, withTrained(plan, weights, ranges), { rounded });
  storePlanSummary(quantized.model, summarizePlan(quantized.plan, [TECHNIQUE]));
  return quantized;
}

/** A resolved plan with the trained weights and ranges in place of those that it was made with. */
function withTrained(
  plan: QuantizationPlan,
  weights: ReadonlyMap<string, TensorProto>,
  ranges: ReadonlyMap<string, Range>,
): QuantizationPlan {
  const entries = plan.entries.map((entry): PlanEntry => {
    const { activations, weight } = entry;
    const trained = weight && weights.get(weight.weight.name);
    if (weight && !trained) throw new Error(`${weight.weight.name} is no weight of the model`);
    return {
      ...entry,
      activations: activations.map((each) => ({ ...each, range: ranges.get(each.source) ?? each.range })),
      weight: weight && trained && { ...weight, weight: trained },
    };
  });
  return { ...plan, entries };
}

/** The integers of a weight by its learned scale, computed in the order in which training computes them. */
async function roundLearned(planned: PlannedWeight, { multipliers }: Scales, scale: Tensor): Promise<RoundedWeight> {
  const { weight, axis, scheme } = planned;
  const { name, dims } = weight;
  const shape = dims.map(Number);
  const column = shape.map((_, index) => (index === axis ? -1 : 1));
  const multiples = multipliers && expandBlocks(multipliers, shape, scheme.block);
  const { lowest, highest } = weightScheme(planned);
  const b = new GraphBuilder('rounding');
  const positive = b.max(b.input('scale', DataType.FLOAT, scale.shape), SMALLEST_SCALE);
  const perChannel = b.expand(positive, [shape[axis] ?? 1]); // [channels], also of one scale for all
  const divisor = b.expand(b.reshape(perChannel, column), shape);
  const values = b.input('weight', DataType.FLOAT, shape);
  const multiple = b.input('multiples', DataType.FLOAT, shape);
  b.output('values', b.clip(b.round(b.div(b.div(values, multiple), divisor)), lowest, highest));
  b.output('divisor', b.mul(divisor, multiple));
  b.output('per_channel', perChannel);
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
    scale: stored('per_channel', 'scale'),
    divisor: stored('divisor', 'divisor'),
    multipliers:
      multipliers && makeTensor(`${name}.multipliers`, multipliers.shape, multipliers.data, multipliers.type),
  };
}
