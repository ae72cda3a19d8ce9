/**
 * The two models of a training step. The forward model computes the predictions of the network and the costs of matching
 * its queries to the targets. The matching itself is computed between the two. The backward model then computes the loss
 * and the gradients. Values of the forward model that the backward model needs are passed on in memory.
 */
import { differentiate } from '../autodiff/differentiate.ts';
import { gradientName } from '../autodiff/differentiation.ts';
import type { Size } from '../data/size.ts';
import { sizesOf, trainingOf } from '../models/family.ts';
import type { CheckpointPackage } from '../models/package/package.ts';
import { type InputSize, specialize } from '../models/specialize.ts';
import type { Head } from '../models/training-family.ts';
import type { Model } from '../onnx/read.ts';
import { splitModel } from '../onnx/split.ts';
import { FAKE_QUANTIZE_RULES } from './fake-quantize.ts';
import { insertFakeQuantization } from './insert-fake-quantization.ts';
import type { TrainablePlan } from './learned-scales.ts';
import type { TrainedParameter } from './parameter.ts';
import { groupOf, SCALES } from './parameter-groups.ts';
import { takeImages } from './step-images.ts';
import { addLoss, type LossSettings, type LossSize } from './step-loss.ts';
import { costName, LOSS } from './step-names.ts';

/** The sizes of a training step, all of them fixed. */
export interface StepSize extends Omit<InputSize, keyof Size>, Size, LossSize {
  readonly batch: number;
  readonly textLength: number;
}

/** The models of a training step. */
export interface StepModels {
  /** The model that computes the costs of matching, from images and weights. */
  readonly forward: Model;
  /** The model that computes the loss and the gradients, from what the forward model passes to it. */
  readonly backward: Model;
  /** The weights of the network, then the learned scales. */
  readonly parameters: readonly TrainedParameter[];
  /** The heads whose queries are matched to targets. */
  readonly heads: readonly Head[];
  /** Names of the values that the forward model gives out and the backward model takes. */
  readonly passed: readonly string[];
  /** The network as it was before training, from which the student learns; undefined without distillation. */
  readonly teacher: Model | undefined;
}

/**
 * Builds the models of a training step.
 * @param checkpoint gives the configuration and the shapes of the weights, which are inputs of both models
 * @param trainable the plan whose rounding is trained, with the scales that it starts from
 * @throws UsageError if dino8 cannot train models of this family
 * @throws InputError that lists every tensor that is missing or has another shape
 * @example
 * const size = { batch: 4, height: 192, width: 256, textLength: 64, targets: 20, groups: 0 };
 * const weights = { class: 1, box: 5, giou: 2 };
 * const { forward, backward } = await buildStepModels(checkpoint, size, {
 *   matching: weights, loss: weights, recompute: false, labels: 1, distillation: 0,
 * });
 */
export async function buildStepModels(
  checkpoint: CheckpointPackage,
  size: StepSize,
  settings: LossSettings,
  trainable?: TrainablePlan,
): Promise<StepModels> {
  const family = trainingOf(checkpoint);
  const distils = settings.distillation > 0;
  const graph = family.buildGraph(checkpoint.tensors, {
    source: checkpoint.source,
    stages: distils ? family.distillation.stages : [],
    extra: 2 * size.groups * size.targets,
  });
  const special = await specialize(graph.model, { ...size, padding: true }, sizesOf(checkpoint));
  const prepared = takeImages(special, size, checkpoint.preprocessing, family.inputs);
  const teacher = distils ? family.distillation.teacherModel(prepared) : undefined;
  const student = distils ? family.distillation.freezeQueries(prepared) : prepared;
  const quantized = trainable && insertFakeQuantization(student, trainable, size.batch);
  const withLoss = addLoss(quantized?.model ?? student, family, size, settings);
  const weights = [...graph.parameters].map(([name, parameter]) => {
    return { name, ...parameter, group: groupOf(family.parameterTraits(name, parameter.shape.length)) };
  });
  const scales = (trainable?.scales ?? []).map(({ name, initial: { shape } }) => {
    return { name, input: name, shape, group: SCALES };
  });
  const parameters = [...weights, ...scales].map((each) => ({ ...each, gradient: gradientName(each.input) }));
  const derived = differentiate(withLoss, {
    loss: LOSS,
    parameters: parameters.map(({ input }) => input),
    detached: [...graph.detached, ...(quantized?.detached ?? [])],
    rules: FAKE_QUANTIZE_RULES,
    recompute: settings.recompute ? family.segmentOf : undefined,
  });
  const early = family.heads.flatMap((head) => [head.logits, head.boxes, costName(head)]);
  const { first, second, passed } = splitModel(derived, early);
  return { forward: first, backward: second, parameters, heads: family.heads, passed, teacher };
}
