/**
 * Learning from the network as it was (Hinton et al. 2015, https://arxiv.org/abs/1503.02531): what each of its queries
 * answers, its boxes, and the encoder's features. The teacher's proposals become the student's queries too, so that the
 * queries of both correspond one to one.
 */

import { GraphBuilder, type Value } from '../../../onnx/builder.ts';
import { copyModel } from '../../../onnx/copy.ts';
import type { Model } from '../../../onnx/read.ts';
import { removeUnused, replaceUses } from '../../../onnx/rewrite.ts';
import { DataType } from '../../../onnx/types.ts';
import type { Head, LossWeights, Targets } from '../../training-family.ts';
import { generalizedIou } from './loss.ts';

/** Results of the network that the student is to have besides its answers. */
export const FEATURES = ['encoder_vision', 'encoder_text'] as const;

/** What a result of the teacher is named. */
const teacherName = (name: string): string => `teacher.${name}`;
const INDICES = teacherName('query_indices');

/** The teacher's model, which gives the results that `learnFromTeacher` asks for. `model` stays as it is. */
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

const taught = (heads: readonly Head[]) => [...heads.flatMap(({ logits, boxes }) => [logits, boxes]), ...FEATURES];

function indicesOf({ graph }: Model): string {
  const selection = graph.node.find(({ opType }) => opType === 'TopK')?.output[1];
  if (!selection) throw new Error('the graph selects no queries');
  return selection;
}

/** Makes the teacher's choice of queries an input of the student's `model`, which is changed. */
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
 * How far the student is from the teacher, a scalar, 0 where they agree: answers by the quality focal loss (Li et al. 2020,
 * https://arxiv.org/abs/2006.04388), boxes as labels do, each query as far as the teacher is sure of it; features by their
 * mean squared difference.
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
    const answers = total(b.mul(b.mul(crossEntropy, b.mul(missed, missed)), mask));
    const distance = b.reduceSum(b.abs(b.sub(studentBoxes, teacherBoxes)), [2], false);
    const apart = b.sub(1, generalizedIou(b, studentBoxes, teacherBoxes));
    const sum = b.sum([
      b.mul(answers, weights.class),
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
