/**
 * The loss of GroundingDINO (https://arxiv.org/abs/2303.05499, section 3.5) as nodes of a graph: the set prediction loss of
 * DETR (Carion et al. 2020, https://arxiv.org/abs/2005.12872, section 3.1) with the focal loss (Lin et al. 2017,
 * https://arxiv.org/abs/1708.02002), the L1 loss and the generalised IoU (Rezatofighi et al. 2019,
 * https://arxiv.org/abs/1902.09630). The graph computes the costs of matching; the matching itself is computed outside.
 */
import type { GraphBuilder, Value } from '../../../onnx/builder.ts';
import { DataType } from '../../../onnx/types.ts';
import type { LossParts, LossWeights, Predictions, Targets } from '../../training-family.ts';

/** α and γ of the focal loss, as published. */
const ALPHA = 0.25;
const GAMMA = 2;
/** Keeps the logarithms of the costs finite. */
const EPSILON = 1e-6;

/**
 * Adds the costs of assigning each query to each target: class, L1 and negative generalised IoU, weighted.
 * @returns [batch, queries, targets]
 */
export function matchingCosts(
  b: GraphBuilder,
  { logits, boxes }: Predictions,
  targets: Targets,
  weights: LossWeights,
): Value {
  const probability = b.sigmoid(logits);
  const negative = b.sub(1, probability);
  const focal = (missed: Value, found: Value, alpha: number) =>
    b.mul(b.mul(b.pow(missed, GAMMA), b.log(b.add(found, EPSILON))), -alpha);
  const difference = b.sub(focal(negative, probability, ALPHA), focal(probability, negative, 1 - ALPHA));
  const tokens = b.max(b.reduceSum(targets.tokens, [2], false), 1); // [batch, targets]
  const ofPhrase = b.matmul(difference, b.transpose(targets.tokens, [0, 2, 1]));
  const classCost = b.div(ofPhrase, b.unsqueeze(tokens, [1]));
  const [query, target] = [b.unsqueeze(boxes, [2]), b.unsqueeze(targets.boxes, [1])];
  const distance = b.reduceSum(b.abs(b.sub(query, target)), [3], false);
  const overlap = generalizedIou(b, query, target);
  return b.sub(b.add(b.mul(classCost, weights.class), b.mul(distance, weights.box)), b.mul(overlap, weights.giou));
}

/**
 * Adds the loss of a head. Queries without a target only learn that no token of the prompt describes them.
 * @param assignment the target of each query, [batch, queries] int64; the last target stands for none
 * @param counts 1 for queries that count, [batch, queries]; all count by default
 */
export function headLoss(
  b: GraphBuilder,
  { logits, boxes }: Predictions,
  targets: Targets,
  assignment: Value,
  counts?: Value,
): LossParts {
  const perTarget = (value: Value) => b.div(b.reduceSum(b.reshape(value, [-1]), [0], false), targets.count);
  const wanted = b.gatherRows(targets.tokens, assignment); // [batch, queries, tokens]
  const targetBoxes = b.gatherRows(targets.boxes, assignment);
  const none = b.sub(b.squeeze(b.dimension(targets.boxes, 1), [0]), b.integer(1));
  const isMatched = b.cast(b.less(assignment, none), DataType.FLOAT); // [batch, queries]
  const distance = b.reduceSum(b.abs(b.sub(boxes, targetBoxes)), [2], false);
  const overlap = generalizedIou(b, boxes, targetBoxes);
  const tokens = b.unsqueeze(targets.tokenMask, [1]);
  return {
    class: perTarget(b.mul(focalLoss(b, logits, wanted), counts ? b.mul(tokens, b.unsqueeze(counts, [2])) : tokens)),
    box: perTarget(b.mul(distance, isMatched)),
    giou: perTarget(b.mul(b.sub(1, overlap), isMatched)),
  };
}

/** The focal loss of each element: α_t · (1 − p_t)^γ · cross-entropy, [batch, queries, tokens]. */
function focalLoss(b: GraphBuilder, logits: Value, wanted: Value): Value {
  const probability = b.sigmoid(logits);
  const crossEntropy = b.sub(b.softplus(logits), b.mul(logits, wanted));
  // |wanted − p| = 1 − p_t for a target of 0 or 1.
  const missed = b.abs(b.sub(wanted, probability));
  const alpha = b.add(b.mul(wanted, 2 * ALPHA - 1), 1 - ALPHA);
  return b.mul(b.mul(alpha, crossEntropy), b.mul(missed, missed));
}

/** Adds the generalised IoU of boxes (cx, cy, w, h). Their shapes [..., 4] are broadcast, and the result is [...]. */
export function generalizedIou(b: GraphBuilder, first: Value, second: Value): Value {
  const corners = (boxes: Value) => {
    const axis = (boxes.shape?.length ?? 1) - 1;
    const centre = b.slice(boxes, [0], [2], [axis]);
    const half = b.mul(b.slice(boxes, [2], [4], [axis]), 0.5);
    return { low: b.sub(centre, half), high: b.add(centre, half), axis };
  };
  const [one, two] = [corners(first), corners(second)];
  const area = (low: Value, high: Value, axis: number) => {
    const sides = b.max(b.sub(high, low), 0);
    const side = (index: number) => b.squeeze(b.slice(sides, [index], [index + 1], [axis]), [axis]);
    return b.mul(side(0), side(1));
  };
  const rank = Math.max(one.axis, two.axis);
  const shared = area(b.max(one.low, two.low), b.min(one.high, two.high), rank);
  const union = b.sub(b.add(area(one.low, one.high, one.axis), area(two.low, two.high, two.axis)), shared);
  const hull = area(b.min(one.low, two.low), b.max(one.high, two.high), rank);
  return b.sub(b.div(shared, union), b.div(b.sub(hull, union), hull));
}
