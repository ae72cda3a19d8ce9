/** The operator of the scores of proposals, and the features of the positions that are chosen by them. */
import { describe, expect, test } from 'vitest';
import { GraphBuilder, type Value } from '../../../onnx/builder.ts';
import { copyModel } from '../../../onnx/copy.ts';
import { PROPOSAL_SCORES } from '../../../onnx/dino8-operators.ts';
import type { Model } from '../../../onnx/read.ts';
import { makeTensor } from '../../../onnx/tensor.ts';
import { DataType } from '../../../onnx/types.ts';
import { modelBytes } from '../../../onnx/write.ts';
import { foldConstants } from '../../../runtime/fold-constants.ts';
import { type Feeds, Session } from '../../../runtime/session.ts';
import { booleans, floats } from '../../../runtime/tensor.ts';
import { haveSameBytes, largestDifference } from '../../../testing/difference.ts';
import { hasKernelPath, hasKernels, withKernels } from '../../../testing/kernels.ts';
import { noise } from '../../../testing/noise.ts';
import { fuseProposalScores } from './fuse-proposal-scores.ts';
import { CONTRIB, INTEGER_PRODUCT, integerProductFunction } from './integer-product.ts';
import { fuseLinearBlocks } from './linear-blocks.ts';

const DEPTH = 64;
const CHOSEN = 7;

interface Selection {
  readonly width: number;
  /** Whether the features of all positions are an output. */
  readonly areRead?: boolean;
  /** What stands for a row that is not valid. */
  readonly filling?: number;
}

/** Rows that are masked → bytes → layer → normalization → the best similarity with a token, and the features of the best positions. */
async function selection({ width, areRead, filling = 0 }: Selection): Promise<Model> {
  const b = new GraphBuilder('selection');
  b.define(integerProductFunction());
  const stored = (name: string, dims: number[], data: Float32Array | Uint8Array | Int8Array) =>
    b.initializer(makeTensor(name, dims, data));
  const vector = (name: string, seed: number) =>
    stored(
      name,
      [width],
      noise(width, seed).map((x) => x + 0.5),
    );
  const x = b.input('x', DataType.FLOAT, ['batch', 'positions', DEPTH]);
  const valid = b.input('valid', DataType.BOOL, ['batch', 'rows', 1]);
  const range = [stored('scale', [], Float32Array.of(1 / 48)), stored('zero', [], Uint8Array.of(117))] as const;
  const [bytes] = b.call('', 'QuantizeLinear', [b.where(valid, x, filling), ...range]);
  const [y] = b.call(CONTRIB, INTEGER_PRODUCT, [
    bytes as Value, // operators with one result
    stored(
      'weight',
      [DEPTH, width],
      Int8Array.from(noise(DEPTH * width, 1), (each) => Math.round(each * 127)),
    ),
    range[0],
    stored('weight.scale', [width], new Float32Array(width).fill(1 / 100)),
    range[1],
    stored('weight.zero', [width], new Int8Array(width)),
    vector('bias', 2),
  ]);
  const features = b.layerNormalization(y as Value, vector('norm.scale', 3), vector('norm.bias', 4), 1e-5);
  const text = b.input('text', DataType.FLOAT, ['texts', 'tokens', width]);
  const mask = b.input('mask', DataType.FLOAT, ['batch', 1, 'tokens']);
  const similarities = b.add(b.matmul(features, b.transpose(text, [0, 2, 1])), mask);
  const scores = b.reduceMax(similarities, [2], false);
  b.output('scores', scores);
  b.output('chosen', b.gatherRows(features, b.topk(scores, b.integers(CHOSEN), 1).indices));
  if (areRead) b.output('features', features);
  const model = b.finish();
  fuseLinearBlocks(model);
  await foldConstants(model);
  return model;
}

interface Sizes {
  readonly width: number;
  readonly batch: number;
  readonly texts: number;
  readonly positions: number;
  readonly tokens: number;
}

function feedsOf({ width, batch, texts, positions, tokens }: Sizes): Feeds {
  const x = noise(batch * positions * DEPTH, 5).map((each) => 3 * each);
  x.set([Number.NaN, Number.POSITIVE_INFINITY, Number.NEGATIVE_INFINITY], DEPTH);
  return {
    x: floats(x, [batch, positions, DEPTH]),
    valid: booleans(
      Uint8Array.from({ length: batch * positions }, (_, at) => (at % 5 === 3 ? 0 : 1)),
      [batch, positions, 1],
    ),
    text: floats(noise(texts * tokens * width, 6), [texts, tokens, width]),
    mask: floats(
      noise(batch * tokens, 7).map((each) => (each > 0.8 ? -1e4 : 0)),
      [batch, 1, tokens],
    ),
  };
}

async function run(model: Model, feeds: Feeds, options = {}): Promise<Record<string, Float32Array>> {
  await using session = await Session.create(modelBytes(model), options);
  using outputs = await session.run(feeds);
  return Object.fromEntries(outputs.names.map((name) => [name, Float32Array.from(outputs.get(name).data, Number)]));
}

/** The same with the operator, and without a node that computes features of all positions. */
function fused(model: Model): Model {
  const copy = copyModel(model);
  expect(fuseProposalScores(copy)).toBe(1);
  expect(copy.graph.node.map(({ opType }) => opType)).toContain(PROPOSAL_SCORES);
  expect(copy.graph.node.filter(({ opType }) => opType === 'MatMul' || opType === 'ReduceMax')).toEqual([]);
  return copy;
}

const SIZES: readonly Sizes[] = [
  { width: 256, batch: 1, texts: 1, positions: 300, tokens: 189 },
  { width: 256, batch: 2, texts: 1, positions: 131, tokens: 70 },
  { width: 64, batch: 2, texts: 2, positions: 97, tokens: 65 },
  { width: 64, batch: 1, texts: 1, positions: 49, tokens: 3 },
  { width: 20, batch: 2, texts: 2, positions: 7, tokens: 17 },
];

describe('the scores of proposals as one operator', () => {
  test.for(SIZES.slice(1, 3))('have a body that computes the same to the bit: %j', async (sizes) => {
    const model = await selection(sizes);
    const feeds = feedsOf(sizes);
    expect(await run(fused(model), feeds)).toEqual(await run(model, feeds));
  });

  test.runIf(hasKernels).for(SIZES)('have a kernel that computes what the separate operators do: %j', async (sizes) => {
    const model = await selection(sizes);
    const feeds = feedsOf(sizes);
    const expected = await run(model, feeds, withKernels);
    for (const threads of [1, 2]) {
      const found = await run(fused(model), feeds, { ...withKernels, threads });
      for (const [name, values] of Object.entries(expected)) {
        const actual = found[name] ?? new Float32Array();
        // ONNX Runtime takes numbers in the order that the kernel assumes where it has AVX2.
        if (sizes.width % 16 === 0 && hasKernelPath('avx2')) expect(haveSameBytes(actual, values)).toBe(true);
        expect(largestDifference(actual, values)).toBeLessThan(1e-5);
      }
    }
  });

  test('take a condition that is one for all rows', async () => {
    const sizes = { width: 64, batch: 2, texts: 1, positions: 40, tokens: 5 };
    const model = await selection(sizes);
    const feeds = { ...feedsOf(sizes), valid: booleans(Uint8Array.of(1, 0), [2, 1, 1]) };
    expect(await run(fused(model), feeds, withKernels)).toEqual(await run(model, feeds, withKernels));
  });

  test.for<Partial<Selection>>([{ areRead: true }, { filling: 1 }])(
    'are not made where another node needs a part: %j',
    async (changes) => {
      expect(fuseProposalScores(await selection({ width: 64, ...changes }))).toBe(0);
    },
  );

  test.runIf(hasKernels)('refuse a mask of another size', async () => {
    const sizes = { width: 64, batch: 1, texts: 1, positions: 40, tokens: 5 };
    const feeds = { ...feedsOf(sizes), mask: floats(new Float32Array(6), [1, 1, 6]) };
    await expect(run(fused(await selection(sizes)), feeds, withKernels)).rejects.toThrow(/mask is not/);
  });
});
