/** The loss of a training step as nodes of its graph: a weighted sum over the heads, as in DETR (Carion et al. 2020, https://arxiv.org/abs/2005.12872). */
import type { Head, LossParts, LossWeights, Targets, TrainingFamily } from '../models/training-family.ts';
import { GraphBuilder, type Value } from '../onnx/builder.ts';
import type { Model } from '../onnx/read.ts';
import { DataType } from '../onnx/types.ts';
import { assignmentName, costName, DISTILLATION_LOSS, LOSS, lossName, STEP_INPUTS } from './step-names.ts';

/** How the parts of the loss are weighted. */
export interface LossSettings {
  /** Compute each layer of the encoder again in the backward pass, in place of keeping its values in memory. */
  readonly recompute: boolean;
  /** The weight of the loss of labelled boxes. */
  readonly labels: number;
  /** The weight of the distance from the teacher, the network as it was before training; 0 trains without a teacher. */
  readonly distillation: number;
  /** The weights of the costs by which queries are matched to targets. */
  readonly matching: LossWeights;
  /** The weights of the parts of the loss. */
  readonly loss: LossWeights;
}

/** The sizes that the loss depends on. */
export interface LossSize {
  /** The number of images. */
  readonly batch: number;
  /** The number of tokens that prompts are padded to. */
  readonly textLength: number;
  /** The number of targets that every image is padded to. */
  readonly targets: number;
  /** The number of groups of denoising queries; a group has twice as many queries as an image has targets. */
  readonly groups: number;
}

/**
 * Adds the costs of matching, the loss and its parts to the graph as outputs, and the targets and assignments as inputs.
 * @param model is changed and returned
 */
export function addLoss(model: Model, family: TrainingFamily, size: LossSize, settings: LossSettings): Model {
  const b = new GraphBuilder(model.graph.name, model);
  const { batch, textLength } = size;
  const rows = size.targets + 1;
  const targets: Targets = {
    boxes: b.input(STEP_INPUTS.targetBoxes, DataType.FLOAT, [batch, rows, 4]),
    tokens: b.input(STEP_INPUTS.targetTokens, DataType.FLOAT, [batch, rows, textLength]),
    tokenMask: b.cast(b.value(family.inputs.tokenMask), DataType.FLOAT),
    count: b.input(STEP_INPUTS.targetCount, DataType.FLOAT, []),
  };
  const terms: Value[] = [];
  const add = (head: Head, parts: LossParts) => {
    for (const part of ['class', 'box', 'giou'] as const) {
      b.output(lossName(head, part), parts[part]);
      terms.push(b.mul(parts[part], settings.labels * settings.loss[part]));
    }
  };
  const predictionsOf = (head: Head) => ({ logits: b.value(head.logits), boxes: b.value(head.boxes) });
  for (const head of family.heads)
    b.scope(`loss.${head.name}`, () => {
      const predictions = predictionsOf(head);
      b.output(costName(head), family.matchingCosts(b, predictions, targets, settings.matching));
      const queries = predictions.boxes.shape?.[1];
      const assignment = b.input(assignmentName(head), DataType.INT64, [batch, queries]);
      add(head, family.headLoss(b, predictions, targets, assignment));
    });
  if (size.groups > 0) {
    const queries = 2 * size.groups * size.targets;
    const assignment = b.input(STEP_INPUTS.denoisingAssignment, DataType.INT64, [batch, queries]);
    const counts = b.input(STEP_INPUTS.denoisingCounts, DataType.FLOAT, [batch, queries]);
    // Each group has every target once.
    const repeated = { ...targets, count: b.mul(targets.count, size.groups) };
    for (const head of family.denoisingHeads)
      b.scope(`loss.${head.name}`, () =>
        add(head, family.headLoss(b, predictionsOf(head), repeated, assignment, counts)),
      );
  }
  if (settings.distillation > 0) {
    const distance = b.scope(DISTILLATION_LOSS, () => family.distillation.loss(b, targets, settings.loss));
    b.output(DISTILLATION_LOSS, distance);
    terms.push(b.mul(distance, settings.distillation));
  }
  b.output(LOSS, b.sum(terms));
  return b.finish();
}
