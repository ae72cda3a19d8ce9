/**
 * The loss of GroundingDINO as a graph (Carion et al. 2020, https://arxiv.org/abs/2005.12872, section 3.1; focal loss:
 * Lin et al. 2017, https://arxiv.org/abs/1708.02002; generalised IoU: Rezatofighi et al. 2019,
 * https://arxiv.org/abs/1902.09630). Each head's queries are matched to the targets outside of the graph, from the costs
 * that it computes.
 */
import type { GraphBuilder, Value } from '../../../onnx/builder.ts';
import { DataType } from '../../../onnx/types.ts';
import type { LossParts, LossWeights, Predictions, Targets } from '../../training-family.ts';

const ALPHA = 0.25;
const GAMMA = 2;
/** Keeps the logarithms of the costs finite. */
const EPSILON = 1e-6;

/** What it costs to assign each query to each target, [batch, queries, targets]. */
export function matchingCosts(
  b: GraphBuilder,
  { logits, boxes }: Predictions,
  targets: Targets,
  weights: LossWeights,
): Value {
  const probability = b.sigmoid(logits);
  const negative = b.sub(1, probability);
  const focal = (missed: Value, found: Value, share: number) =>
    b.mul(b.mul(b.pow(missed, GAMMA), b.log(b.add(found, EPSILON))), -share);
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
 * @param assignment the target of each query, the last one for none, [batch, queries] int64
 * @param counts 1 for queries that count, [batch, queries]; all if left out
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

/** α_t · (1 − p_t)^γ · cross-entropy, of each element. */
function focalLoss(b: GraphBuilder, logits: Value, wanted: Value): Value {
  const probability = b.sigmoid(logits);
  const crossEntropy = b.sub(b.softplus(logits), b.mul(logits, wanted));
  // |wanted − p| = 1 − p_t for a target of 0 or 1.
  const missed = b.abs(b.sub(wanted, probability));
  const share = b.add(b.mul(wanted, 2 * ALPHA - 1), 1 - ALPHA);
  return b.mul(b.mul(share, crossEntropy), b.mul(missed, missed));
}

/** The generalised IoU of boxes (cx, cy, w, h) [..., 4] that broadcast against each other, [...]. */
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
