/**
 * The scales of quantization-aware training: one for each quantized activation and one for each channel of a quantized
 * weight. They start from calibration and are trained with the weights (LSQ, Esser et al. 2019,
 * https://arxiv.org/abs/1902.08153).
 */
import { UsageError } from '../base/errors.ts';
import { plannedActivations, plannedWeights, type QuantizationPlan } from '../quant/plan.ts';
import type { PlannedActivation, PlannedWeight } from '../quant/plan-entry.ts';
import { affineOf, HIGHEST_OF_BITS, type Scheme } from '../quant/scheme.ts';
import { chooseScales, type Scales } from '../quant/techniques/rounding.ts';
import { floatData, floats, type Tensor } from '../runtime/tensor.ts';
import { SCALE_SUFFIX } from './parameter.ts';

/** A scale that is trained: an input of the training graph. */
export interface LearnedScale {
  /** The name of the scale, among the names of parameters. */
  readonly name: string;
  /** The value that training starts from: [1], or [channels] for a weight with a scale for each channel. */
  readonly initial: Tensor;
}

/** A plan whose rounding is trained, with the scales that it starts from. */
export interface TrainablePlan {
  /** A resolved plan of the float model, for one target. */
  readonly plan: QuantizationPlan;
  /** Every scale once: values and weights that several nodes share have one. */
  readonly scales: readonly LearnedScale[];
  /** The scales that quantization without training gives each weight, by the name of the weight. */
  readonly ofWeights: ReadonlyMap<string, Scales>;
}

/** The name of the scale of a weight. */
export const weightScaleName = ({ weight }: PlannedWeight): string => `${weight.name}${SCALE_SUFFIX}`;

/** The name of the scale of an activation; all arrangements of one source share it. */
export const activationScaleName = ({ source }: PlannedActivation): string => `${source}${SCALE_SUFFIX}`;

/** The integers of a weight. */
export function weightScheme({ scheme }: PlannedWeight): Scheme {
  const highest = HIGHEST_OF_BITS[scheme.bits];
  return { lowest: -highest, highest, symmetric: true };
}

/** @throws UsageError if the plan has something that cannot be trained */
function checkTrainable({ recipe, entries, clips }: QuantizationPlan): void {
  if (
    recipe.text?.treatment === 'buckets' ||
    entries.some(({ activations }) => activations.some(({ byLength }) => byLength))
  )
    throw new UsageError(
      `The recipe ${recipe.name} looks ranges up by the length of the text, which cannot be trained; use \`treatment: dynamic\` in \`text\`.`,
    );
  if (clips.length > 0)
    throw new UsageError(`The recipe ${recipe.name} clips results, which cannot be trained; leave \`clip\` out.`);
}

/**
 * The scales that quantization without training has: those of the weights as they are, and those of the calibrated ranges.
 * @param plan a resolved plan
 * @throws UsageError if the plan clips results or looks ranges up by the length of the text
 * @example
 * const trainable = await startScales(resolveRanges(planQuantization(model, recipe), { statistics }));
 */
export async function startScales(plan: QuantizationPlan): Promise<TrainablePlan> {
  checkTrainable(plan);
  const ofWeights = new Map<string, Scales>();
  const scales = new Map<string, LearnedScale>();
  for (const planned of plannedWeights(plan)) {
    const { weight, scheme, axis } = planned;
    if (ofWeights.has(weight.name)) continue;
    const chosen = await chooseScales(weight, scheme, axis);
    ofWeights.set(weight.name, chosen);
    // A scale for the whole weight is stored once for each channel, but trained as one number.
    const initial = scheme.per === 'tensor' ? floats(floatData(chosen.scale).slice(0, 1), [1]) : chosen.scale;
    scales.set(weight.name, { name: weightScaleName(planned), initial });
  }
  for (const planned of plannedActivations(plan)) {
    const { source, range } = planned;
    if (!range || scales.has(source)) continue;
    const { scale } = affineOf(range, plan.target.activations);
    scales.set(source, { name: activationScaleName(planned), initial: floats(Float32Array.of(scale), [1]) });
  }
  return { plan, scales: [...scales.values()], ofWeights };
}

/** For a weight [rows, channels], the multiple of its channel's scale that each element has: that of its block of rows. */
export function expandBlocks(
  { data }: Tensor,
  [rows = 0, channels = 0]: readonly number[],
  block: number,
): Float32Array {
  // A table of the block structure, made once for each weight: it has no arithmetic on the weight itself.
  return Float32Array.from({ length: rows * channels }, (_, index) => {
    const row = Math.floor(index / channels);
    return Number(data[Math.floor(row / block) * channels + (index % channels)]);
  });
}
