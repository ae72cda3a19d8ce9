/** Multiply-adds of functions are those of the layers that they stand for. */
import { expect, test } from 'vitest';
import { GraphBuilder, type Value } from './builder.ts';
import { countMultiplyAdds } from './count-multiply-adds.ts';
import { DataType } from './types.ts';

// The feed-forward layer of BERT-base on 128 tokens: two products of 768 x 3072.
const [TOKENS, WIDTH, HIDDEN] = [128, 768, 3072];
const one = (values: readonly Value[]) => values[0] as Value; // operators with one result

test('a function in a function is counted by the bodies, and products of dequantized bytes as those of integers', () => {
  const inner = new GraphBuilder('Layer');
  const bytes = inner.input('x', DataType.UINT8, []);
  const weight = inner.input('weight', DataType.INT8, []);
  const scale = inner.input('scale', DataType.FLOAT, []);
  const x = one(inner.call('', 'DequantizeLinear', [bytes, scale]));
  const w = one(inner.call('', 'DequantizeLinear', [weight, scale]));
  inner.output('y', inner.matmul(x, inner.transpose(w, [1, 0])));

  const outer = new GraphBuilder('FeedForward');
  const arguments_ = ['x', 'first', 'scale'].map((name, at) =>
    outer.input(name, [DataType.UINT8, DataType.INT8, DataType.FLOAT][at] ?? 0, []),
  );
  const second = outer.input('second', DataType.FLOAT, []);
  outer.output('y', outer.matmul(one(outer.call('test', 'Layer', arguments_)), second));

  const b = new GraphBuilder('model');
  b.define(inner.finishFunction('test'));
  b.define(outer.finishFunction('test'));
  const call = b.call('test', 'FeedForward', [
    b.input('tokens', DataType.UINT8, [1, TOKENS, WIDTH]),
    b.input('first', DataType.INT8, [HIDDEN, WIDTH]),
    b.input('scale', DataType.FLOAT, []),
    b.input('second', DataType.FLOAT, [HIDDEN, WIDTH]),
  ]);
  b.output('y', one(call));

  const product = TOKENS * WIDTH * HIDDEN;
  const [counted] = countMultiplyAdds(b.finish()).values();
  expect(counted).toEqual({ integer: product, float: product });
});
