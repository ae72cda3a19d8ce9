/**
 * Distillation (Hinton et al. 2015, https://arxiv.org/abs/1503.02531): the student learns from the network as it was before
 * training, the teacher. It learns the logits and boxes of each query, and the features of the encoder. The proposals that
 * the teacher selects become the queries of the student too, so that the queries of both correspond one to one.
 */
import { GraphBuilder, type Value } from '../../../onnx/builder.ts';
import { copyModel } from '../../../onnx/copy.ts';
import type { Model } from '../../../onnx/read.ts';
import { removeUnused, replaceUses } from '../../../onnx/rewrite.ts';
import { DataType } from '../../../onnx/types.ts';
import type { Head, LossWeights, Targets } from '../../training-family.ts';
import { generalizedIou } from './loss.ts';

/** The stages of the network that the student learns beside logits and boxes: the features of the encoder. */
export const FEATURES = ['encoder_vision', 'encoder_text'] as const;

/** The name of a result of the teacher, which is an input of the student's loss. */
const teacherName = (name: string): string => `teacher.${name}`;
const INDICES = teacherName('query_indices');

/**
 * The model of the teacher. Its outputs are inputs of the student's graph: see `freezeQueries` and `distillationLoss`.
 * @param model the training graph of the student, which is copied
 */
export function teacherModel(model: Model, heads: readonly Head[]): Model {
  const b = new GraphBuilder('teacher', copyModel(model));
  const selection = indicesOf(model);
  b.output(INDICES, b.value(selection));
  for (const name of taught(heads)) b.output(teacherName(name), b.value(name));
  const teacher = b.finish();
  teacher.graph.output = teacher.graph.output.filter(({ name }) => name.startsWith(teacherName('')));
  removeUnused(teacher);
  return teacher;
}

/** The values that the student learns. */
const taught = (heads: readonly Head[]) => [...heads.flatMap(({ logits, boxes }) => [logits, boxes]), ...FEATURES];

/** The value with the indices of the selected proposals. The selection is the only TopK of the graph. */
function indicesOf({ graph }: Model): string {
  const selection = graph.node.find(({ opType }) => opType === 'TopK')?.output[1];
  if (!selection) throw new Error('the graph selects no queries');
  return selection;
}

/** Makes the teacher's selection of proposals an input of the student's `model`, which is changed and returned. */
export function freezeQueries(model: Model): Model {
  const selection = indicesOf(model);
  const b = new GraphBuilder(model.graph.name, model);
  const { shape } = b.value(selection);
  b.input(INDICES, DataType.INT64, shape ?? []);
  const frozen = b.finish();
  replaceUses(frozen.graph, selection, INDICES);
  removeUnused(frozen);
  return frozen;
}

/**
 * Adds the distance between student and teacher, which is 0 where they agree. Logits are compared by the quality focal loss
 * (Li et al. 2020, https://arxiv.org/abs/2006.04388), boxes by the losses of labelled boxes, weighted by the teacher's
 * highest probability for the query, and features by their mean squared difference.
 * @param weights of the three parts of a head's distance
 * @returns a scalar
 */
export function distillationLoss(
  b: GraphBuilder,
  heads: readonly Head[],
  { tokenMask }: Pick<Targets, 'tokenMask'>,
  weights: LossWeights,
): Value {
  const given = (name: string): Value => {
    const { shape } = b.value(name);
    return b.input(teacherName(name), DataType.FLOAT, shape ?? []);
  };
  const total = (value: Value) => b.reduceSum(b.reshape(value, [-1]), [0], false);
  const mask = b.unsqueeze(tokenMask, [1]);
  const terms = heads.map(({ logits, boxes }) => {
    const [student, studentBoxes] = [b.value(logits), b.value(boxes)];
    const wanted = b.mul(b.sigmoid(given(logits)), mask); // [batch, queries, tokens]
    const sure = b.reduceMax(wanted, [2], false); // [batch, queries]
    const teacherBoxes = given(boxes);
    const missed = b.sub(wanted, b.sigmoid(student));
    const crossEntropy = b.sub(b.softplus(student), b.mul(student, wanted));
    const classDistance = total(b.mul(b.mul(crossEntropy, b.mul(missed, missed)), mask));
    const distance = b.reduceSum(b.abs(b.sub(studentBoxes, teacherBoxes)), [2], false);
    const apart = b.sub(1, generalizedIou(b, studentBoxes, teacherBoxes));
    const sum = b.sum([
      b.mul(classDistance, weights.class),
      b.mul(total(b.mul(distance, sure)), weights.box),
      b.mul(total(b.mul(apart, sure)), weights.giou),
    ]);
    return b.div(sum, b.max(total(sure), 1));
  });
  const features = FEATURES.map((name) => {
    const difference = b.sub(b.value(name), given(name));
    return b.reduceMean(b.reshape(b.mul(difference, difference), [-1]), [0], false);
  });
  return b.sum([...terms, ...features]);
}
