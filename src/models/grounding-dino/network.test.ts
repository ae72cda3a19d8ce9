/** Layers of wide models are computed in another way, for memory and speed; results differ by rounding only. */
import { expect, test } from 'vitest';
import { GraphBuilder, type Value } from '../../onnx/builder.ts';
import { bytesOf } from '../../onnx/tensor.ts';
import { DataType } from '../../onnx/types.ts';
import { modelBytes } from '../../onnx/write.ts';
import { Session } from '../../runtime/session.ts';
import { floatData, floats } from '../../runtime/tensor.ts';
import { noise } from '../../testing/noise.ts';
import { Network } from './network.ts';
import { Weights } from './weights.ts';

const WIDTH = 384;
const NAMES = ['query', 'key', 'value'] as const;

const parameter = (shape: number[], seed: number) => ({
  type: DataType.FLOAT as const,
  shape,
  bytes: bytesOf(
    noise(
      shape.reduce((product, size) => product * size, 1),
      seed,
    ),
  ),
});

const checkpoint = new Map(
  NAMES.flatMap((name, index) => [
    [`${name}.weight`, parameter([WIDTH, WIDTH], index)],
    [`${name}.bias`, parameter([WIDTH], index + 3)],
  ]),
);

async function run(build: (network: Network, x: Value) => readonly Value[], rows: number): Promise<Float32Array[]> {
  const b = new GraphBuilder('wide');
  const x = b.input('x', DataType.FLOAT, [1, 'rows', WIDTH]);
  for (const [index, value] of build(new Network(b, new Weights(b, checkpoint)), x).entries())
    b.output(`y${index}`, value);
  await using session = await Session.create(modelBytes(b.finish()));
  using outputs = await session.run({ x: floats(noise(rows * WIDTH, 9), [1, rows, WIDTH]) });
  return [...session.outputs.keys()].map((name) => floatData(outputs.get(name)).slice());
}

function expectEqual(actual: readonly Float32Array[], expected: readonly Float32Array[]): void {
  expect(actual.length).toBe(expected.length);
  for (const [index, values] of actual.entries()) {
    const worst = values.reduce(
      (maximum, value, at) => Math.max(maximum, Math.abs(value - (expected[index]?.[at] ?? Number.NaN))),
      0,
    );
    expect(values.length).toBe(expected[index]?.length);
    expect(worst).toBeLessThan(1e-4); // sums of 384 products of numbers up to 1
  }
}

test('projections of one input that are computed as one product agree with separate linear layers', async () => {
  const together = await run((network, x) => network.projections(NAMES, x, WIDTH), 5);
  const apart = await run((network, x) => NAMES.map((name) => network.linear(name, x, WIDTH, WIDTH)), 5);
  expectEqual(together, apart);
});

test.each([1, 7, 8, 31])('a layer that is computed in parts of %i rows agrees with the whole layer', async (rows) => {
  const layer = (network: Network, x: Value) => network.b.relu(network.linear('query', x, WIDTH, WIDTH));
  const inParts = await run((network, x) => [network.inParts(x, 1, WIDTH, (part) => layer(network, part))], rows);
  expectEqual(inParts, await run((network, x) => [layer(network, x)], rows));
});
