/** Matching, losses and their gradients are compared with PyTorch's, in test/fixtures/golden/gradients/criterion. */
import { expect, test } from 'vitest';
import { differentiate } from '../../../autodiff/differentiate.ts';
import { gradientName } from '../../../autodiff/differentiation.ts';
import { GraphBuilder } from '../../../onnx/builder.ts';
import { DataType } from '../../../onnx/types.ts';
import { modelBytes } from '../../../onnx/write.ts';
import { Session } from '../../../runtime/session.ts';
import { floatData, floats, integers, type Tensor, tensorOf } from '../../../runtime/tensor.ts';
import { readGolden } from '../../../testing/golden.ts';
import { matchQueries } from '../../../train/match-queries.ts';
import type { StoredTensor } from '../../checkpoint/checkpoint.ts';
import { headLoss, matchingCosts } from './loss.ts';

const WEIGHTS = { class: 2, box: 5, giou: 2 };
const [BATCH, QUERIES, TARGETS, TOKENS] = [2, 40, 6, 24];

function criterion() {
  const b = new GraphBuilder('criterion');
  const input = (name: string, ...shape: number[]) => b.input(name, DataType.FLOAT, shape);
  const predictions = { logits: input('logits', BATCH, QUERIES, TOKENS), boxes: input('boxes', BATCH, QUERIES, 4) };
  const targets = {
    boxes: input('target_boxes', BATCH, TARGETS + 1, 4),
    tokens: input('target_tokens', BATCH, TARGETS + 1, TOKENS),
    tokenMask: input('token_mask', BATCH, TOKENS),
    count: input('target_count'),
  };
  b.output('costs', matchingCosts(b, predictions, targets, WEIGHTS));
  const parts = headLoss(b, predictions, targets, b.input('assignment', DataType.INT64, [BATCH, QUERIES]));
  b.output('class', parts.class);
  b.output('l1', parts.box);
  b.output('giou', parts.giou);
  const weighted = [b.mul(parts.class, 2), b.mul(parts.box, 5), b.mul(parts.giou, 2)];
  b.output('loss', b.sum(weighted));
  return modelBytes(differentiate(b.finish(), { loss: 'loss', parameters: ['logits', 'boxes'] }));
}

/** `rows` more rows of zeros for each image: the target that is none. */
function withNone(value: Tensor): Tensor {
  const [batch = 0, targets = 0, width = 0] = value.shape;
  const data = new Float32Array(batch * (targets + 1) * width);
  for (let image = 0; image < batch; image++)
    data.set(
      floatData(value).subarray(image * targets * width, (image + 1) * targets * width),
      image * (targets + 1) * width,
    );
  return floats(data, [batch, targets + 1, width]);
}

test('the loss agrees with that of the reference implementation', async () => {
  const golden = await readGolden('gradients/criterion');
  const stored = (name: string) => tensorOf(golden.get(name) as StoredTensor);
  await using session = await Session.create(criterion());
  const feeds = {
    logits: stored('logits'),
    boxes: stored('boxes'),
    target_boxes: withNone(stored('target_boxes')),
    target_tokens: withNone(stored('positive_map')),
    token_mask: floats(new Float32Array(BATCH * TOKENS).fill(1), [BATCH, TOKENS]),
    target_count: floats(Float32Array.of(BATCH * TARGETS), []),
  };
  const nobody = integers(new Array<number>(BATCH * QUERIES).fill(TARGETS), [BATCH, QUERIES]);
  using first = await session.run({ ...feeds, assignment: nobody }, { outputs: ['costs'] });
  const costs = floatData(first.get('costs'));
  const assignment = Array.from({ length: BATCH }, (_, image) => {
    const size = QUERIES * (TARGETS + 1);
    return matchQueries(costs.subarray(image * size, (image + 1) * size), TARGETS + 1, TARGETS, TARGETS);
  });
  const [queries, targets] = [stored('match_query').data, stored('match_target').data];
  for (let image = 0; image < BATCH; image++)
    for (let pair = 0; pair < TARGETS; pair++) {
      const at = image * TARGETS + pair;
      expect(assignment[image]?.[Number(queries[at])]).toBe(Number(targets[at]));
    }

  using outputs = await session.run({ ...feeds, assignment: integers(assignment.flat(), [BATCH, QUERIES]) });
  for (const [ours, theirs] of [
    ['class', 'loss_class'],
    ['l1', 'loss_l1'],
    ['giou', 'loss_giou'],
  ] as const)
    expect(floatData(outputs.get(ours))[0]).toBeCloseTo(floatData(stored(theirs))[0] as number, 4);
  for (const name of ['logits', 'boxes']) {
    const expected = floatData(stored(`grad_${name}`));
    for (const [index, value] of floatData(outputs.get(gradientName(name))).entries())
      expect(Math.abs(value - (expected[index] as number))).toBeLessThan(1e-5);
  }
});
