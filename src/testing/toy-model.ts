/**
 * A model of a few small layers in the forms that real networks have: an embedding, a convolution, an attention with two
 * heads, residual sums, layer normalisations and a feed-forward block. It runs in microseconds.
 */
import { GraphBuilder, type Value } from '../onnx/builder.ts';
import type { Model } from '../onnx/read.ts';
import { makeTensor } from '../onnx/tensor.ts';
import { DataType, type Dimension } from '../onnx/types.ts';
import type { Feeds } from '../runtime/session.ts';
import { floats, integers } from '../runtime/tensor.ts';
import { noise } from './noise.ts';

const WIDTH = 16;
const HEADS = 2;
const VOCABULARY = 20;
const SIDE = 8;

/** Dimensions of the toy model's inputs: numbers for static shapes. */
export interface ToySize {
  readonly batch: Dimension;
  readonly tokens: Dimension;
}

/**
 * Inputs: ids int64 [batch, tokens]; image float [batch, 3, 8, 8]. Outputs: features [batch, tokens, 16] and
 * scores [batch, tokens, 4], which the layer `head` computes from the features before and after the feed-forward block.
 */
export function toyModel(seed = 1, { batch, tokens }: ToySize = { batch: 'batch', tokens: 'tokens' }): Model {
  const b = new GraphBuilder('toy');
  let seeds = seed * 1000;
  const parameter = (name: string, shape: readonly number[], scale = 0.5): Value => {
    const size = shape.reduce((product, dimension) => product * dimension, 1);
    const values = noise(size, seeds++).map((value) => value * scale);
    return b.initializer(makeTensor(name, shape, values));
  };
  const linear = (name: string, x: Value, width = WIDTH): Value => {
    const inputs = Number(x.shape?.at(-1));
    const weight = parameter(`toy.${name}.weight`, [inputs, width]);
    return b.scope(`toy.${name}`, () => b.add(b.matmul(x, weight), parameter(`toy.${name}.bias`, [width])));
  };
  const norm = (name: string, x: Value): Value => {
    const scale = b.initializer(
      makeTensor(
        `toy.${name}.weight`,
        [WIDTH],
        noise(WIDTH, seeds++).map((v) => v + 1),
      ),
    );
    const bias = parameter(`toy.${name}.bias`, [WIDTH]);
    return b.scope(`toy.${name}`, () => b.layerNormalization(x, scale, bias, 1e-5));
  };
  const heads = (x: Value): Value => b.transpose(b.reshape(x, [0, 0, HEADS, WIDTH / HEADS]), [0, 2, 1, 3]);

  const ids = b.input('ids', DataType.INT64, [batch, tokens]);
  const image = b.input('image', DataType.FLOAT, [batch, 3, SIDE, SIDE]);
  const table = parameter('toy.embedding.weight', [VOCABULARY, WIDTH]);
  const words = b.scope('toy.embedding', () => b.gather(table, ids, 0));
  const kernel = parameter('toy.patches.weight', [WIDTH, 3, 2, 2]);
  const patches = b.scope('toy.patches', () =>
    b.transpose(
      b.reshape(b.conv(image, kernel, parameter('toy.patches.bias', [WIDTH]), 2, 2, 0), [0, WIDTH, -1]),
      [0, 2, 1],
    ),
  );
  const query = linear('attention.query', norm('norm0', words));
  const key = linear('attention.key', patches);
  const value = linear('attention.value', patches);
  const mixed = b.scope('toy.attention', () => {
    const scores = b.matmul(
      b.mul(heads(query), 0.5),
      b.transpose(b.reshape(key, [0, 0, HEADS, WIDTH / HEADS]), [0, 2, 3, 1]),
    );
    return b.reshape(b.transpose(b.matmul(b.softmax(scores), heads(value)), [0, 2, 1, 3]), [0, 0, WIDTH]);
  });
  const output = linear('attention.output', mixed);
  const first = norm(
    'norm1',
    b.scope('toy.residual1', () => b.add(words, output)),
  );
  const wide = linear('fc1', first, 2 * WIDTH);
  const hidden = b.scope('toy.relu', () => b.relu(wide));
  const narrow = linear('fc2', hidden);
  const features = norm(
    'norm2',
    b.scope('toy.residual2', () => b.add(first, narrow)),
  );
  const head = parameter('toy.head.weight', [WIDTH, 4]);
  const before = b.scope('toy.heads.0', () => b.matmul(first, head));
  const after = b.scope('toy.heads.1', () => b.matmul(features, head));
  b.output('features', features);
  b.output(
    'scores',
    b.scope('toy.scores', () => b.sub(after, before)),
  );
  return b.finish();
}

/** Inputs of the toy model: noise, one element in the batch. */
export function toyFeeds(seed: number, tokens = 5): Feeds {
  return {
    ids: integers(
      Array.from({ length: tokens }, (_, index) => (index * 7 + seed * 3) % VOCABULARY),
      [1, tokens],
    ),
    image: floats(noise(3 * SIDE * SIDE, seed), [1, 3, SIDE, SIDE]),
  };
}
