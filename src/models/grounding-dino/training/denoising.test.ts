/** Denoising queries do not change the other queries, and their boxes are distributed as in the paper. */
import { join } from 'node:path';
import fc from 'fast-check';
import { expect, test } from 'vitest';
import { packageRoot } from '../../../base/package-root.ts';
import { modelBytes } from '../../../onnx/write.ts';
import { kernelOptions } from '../../../runtime/kernels.ts';
import { Session } from '../../../runtime/session.ts';
import { floatData, floats, type Tensor, tensorOf } from '../../../runtime/tensor.ts';
import { readGolden } from '../../../testing/golden.ts';
import { noise } from '../../../testing/noise.ts';
import { readHuggingFace } from '../checkpoint/hugging-face.ts';
import { MASKED } from '../network.ts';
import { DENOISING, denoisingGroups, denoisingMask, denoisingQueries } from './denoising.ts';
import { buildTrainingGraph, EXTRA_INPUTS, trainedHeads } from './training-graph.ts';

test('denoising queries do not change the results of the queries of the network', async () => {
  const checkpoint = await readHuggingFace(join(packageRoot, 'assets/nano'));
  const golden = await readGolden('nano/single');
  const [groups, targets] = [2, 3];
  const extra = 2 * groups * targets;
  const run = async (count: number) => {
    const { model, parameters } = buildTrainingGraph(checkpoint, { extra: count });
    await using session = await Session.create(modelBytes(model), kernelOptions({ training: true }));
    const feeds: Record<string, Tensor> = {
      [EXTRA_INPUTS.tokens]: floats(noise(extra * 17, 1), [1, extra, 17]),
      [EXTRA_INPUTS.boxes]: floats(
        noise(extra * 4, 2).map((value) => 0.5 + 0.4 * value),
        [1, extra, 4],
      ),
      [EXTRA_INPUTS.mask]: floats(denoisingMask(groups, targets, 100, MASKED), [extra + 100, extra + 100]),
    };
    for (const [name, { input, shape }] of parameters) {
      const stored = checkpoint.tensors.get(name);
      if (stored) feeds[input] = { ...tensorOf(stored), shape };
    }
    for (const [name, stored] of golden) feeds[name] = tensorOf(stored);
    const taken = Object.fromEntries([...session.inputs.keys()].map((name) => [name, feeds[name] as Tensor]));
    using outputs = await session.run(taken);
    const names = trainedHeads(checkpoint.config).flatMap(({ logits, boxes }) => [logits, boxes]);
    return new Map(names.map((name) => [name, floatData(outputs.get(name)).slice()]));
  };
  const [alone, together] = [await run(0), await run(extra)];
  for (const [name, values] of alone) {
    const others = together.get(name) ?? new Float32Array();
    expect(others).toHaveLength(values.length);
    for (const [index, value] of values.entries())
      expect(Math.abs(value - (others[index] ?? Number.NaN))).toBeLessThan(2e-5);
  }
});

const fraction = fc.double({ min: 0.05, max: 0.4, noNaN: true });
const labels = fc.array(
  fc.record({ box: fc.tuple(fraction, fraction, fraction, fraction), category: fc.integer({ min: 1, max: 9 }) }),
  { minLength: 0, maxLength: 5 },
);

test('positive queries move by less than half a box, negative ones further, and each group has every target', () => {
  fc.assert(
    fc.property(labels, fc.integer({ min: 1, max: 3 }), fc.integer(), (targets, groups, seed) => {
      const numbers = noise(4000, seed);
      let next = 0;
      const random = () => ((numbers[next++ % numbers.length] ?? 0) + 1) / 2;
      const queries = denoisingQueries(targets, [1, 2, 3], { ...DENOISING, targets: 5, groups }, random);
      expect(queries).toHaveLength(groups * 10);
      for (const [place, query] of queries.entries()) {
        const target = targets[place % 5];
        expect(query === undefined).toBe(target === undefined);
        if (!query || !target) continue;
        const isPositive = Math.floor(place / 5) % 2 === 0;
        expect(query.target).toBe(isPositive ? place % 5 : undefined);
        const [x, y, width, height] = target.box;
        const [cx, cy, w, h] = query.box;
        const moved = Math.max(Math.abs(cx - w / 2 - x) / width, Math.abs(cy - h / 2 - y) / height);
        // The smallest box that is allowed may reach a little further.
        expect(moved).toBeLessThan((isPositive ? 0.5 : 1) + 0.02);
      }
    }),
  );
  expect(denoisingGroups(DENOISING, 16)).toBe(3);
});
