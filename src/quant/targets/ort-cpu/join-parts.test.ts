/** Layers that are computed in parts of the rows compute the same at once. */
import { describe, expect, test } from 'vitest';
import { GraphBuilder } from '../../../onnx/builder.ts';
import { copyModel } from '../../../onnx/copy.ts';
import type { Model } from '../../../onnx/read.ts';
import { makeTensor } from '../../../onnx/tensor.ts';
import { DataType } from '../../../onnx/types.ts';
import { modelBytes } from '../../../onnx/write.ts';
import { Session } from '../../../runtime/session.ts';
import { floatData, floats } from '../../../runtime/tensor.ts';
import { noise } from '../../../testing/noise.ts';
import { CONTRIB, INTEGER_PRODUCT, integerProductFunction } from './integer-product.ts';
import { joinParts } from './join-parts.ts';

const [ROWS, DEPTH, HIDDEN, COLUMNS] = [9, 8, 12, 5];

interface Settings {
  /** The scale of the bytes between the layers of each part. */
  readonly scales: readonly number[];
  readonly activation?: 'Relu' | 'Gelu' | undefined;
  /** The order in which the results of the parts are joined. */
  readonly order?: readonly number[];
  /** Whether each part has a first weight of its own. */
  readonly hasOwnWeights?: boolean;
}

/** x [9, 8] in parts of three rows, each through two layers. */
function inParts({ scales, activation, order = scales.map((_, at) => at), hasOwnWeights = false }: Settings): Model {
  const b = new GraphBuilder('parts');
  b.define(integerProductFunction());
  const number = (name: string, data: Float32Array | Uint8Array) => b.initializer(makeTensor(name, [], data));
  const layer = (name: string, rows: number, columns: number, seed: number) => ({
    weight: b.initializer(
      makeTensor(
        `${name}.weight`,
        [rows, columns],
        Int8Array.from(noise(rows * columns, seed), (x) => Math.round(x * 127)),
      ),
    ),
    scale: b.initializer(makeTensor(`${name}.scale`, [columns], new Float32Array(columns).fill(1 / 200))),
    zero: b.initializer(makeTensor(`${name}.zero`, [columns], new Int8Array(columns))),
    bias: b.initializer(makeTensor(`${name}.bias`, [columns], noise(columns, seed + 1))),
  });
  const range = [number('x.scale', Float32Array.of(1 / 80)), number('x.zero', Uint8Array.of(128))] as const;
  const [bytes] = b.call('', 'QuantizeLinear', [b.input('x', DataType.FLOAT, [ROWS, DEPTH]), ...range]);
  const shared = layer('first', DEPTH, HIDDEN, 3);
  const second = layer('second', HIDDEN, COLUMNS, 5);
  const results = b.split(bytes ?? range[0], b.integers(3, 3, 3), 3, 0).map((part, at) => {
    const first = hasOwnWeights ? layer(`first${at}`, DEPTH, HIDDEN, 7 + at) : shared;
    const product = (
      a: typeof part,
      [scale, zero]: typeof range,
      { weight, scale: own, zero: ownZero, bias }: typeof first,
    ) => {
      const [result] = b.call(CONTRIB, INTEGER_PRODUCT, [a, weight, scale, own, zero, ownZero, bias]);
      return result ?? a;
    };
    const between = [
      number(`scale${at}`, Float32Array.of(scales[at] ?? 1)),
      number(`zero${at}`, Uint8Array.of(20)),
    ] as const;
    const [active = part] = activation
      ? b.call('', activation, [product(part, range, first)])
      : [product(part, range, first)];
    const [hidden] = b.call('', 'QuantizeLinear', [active, ...between]);
    return product(hidden ?? part, between, second);
  });
  b.output(
    'y',
    b.concat(
      order.map((at) => results[at] ?? range[0]),
      0,
    ),
  );
  return b.finish();
}

async function run(model: Model): Promise<Float32Array> {
  await using session = await Session.create(modelBytes(model));
  using outputs = await session.run({ x: floats(noise(ROWS * DEPTH, 1), [ROWS, DEPTH]) });
  return floatData(outputs.get('y')).slice();
}

describe('parts with the same weights', () => {
  test.for(['Relu', 'Gelu', undefined] as const)(
    'of one range give the same bits when joined (%s between)',
    async (activation) => {
      const model = inParts({ scales: [0.01, 0.01, 0.01], activation });
      const joined = copyModel(model);
      expect(joinParts(joined)).toBe(1);
      expect(joined.graph.node.filter(({ opType }) => opType === INTEGER_PRODUCT)).toHaveLength(2);
      expect(joined.graph.node.some(({ opType }) => opType === 'Split' || opType === 'Concat')).toBe(false);
      expect(await run(joined)).toEqual(await run(model));
    },
  );

  test('of several ranges get the one that contains them all', async () => {
    const joined = inParts({ scales: [0.01, 0.012, 0.008] });
    const widest = await run(inParts({ scales: [0.012, 0.012, 0.012] }));
    expect(joinParts(joined)).toBe(1);
    expect(await run(joined)).toEqual(widest);
  });
});

test.for([
  ['weights of their own', { scales: [0.01, 0.01, 0.01], hasOwnWeights: true }],
  ['another order', { scales: [0.01, 0.01, 0.01], order: [0, 2, 1] }],
  ['a part that is left out', { scales: [0.01, 0.01, 0.01], order: [0, 1] }],
] as const)('parts with %s stay apart', ([, settings]) => {
  expect(joinParts(inParts(settings))).toBe(0);
});
