/** Each rule is compared with central finite differences over random shapes, with known and unknown dimensions. */
import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { float } from '../onnx/attributes.ts';
import { GraphBuilder, type Value } from '../onnx/builder.ts';
import { DataType, elementCount } from '../onnx/types.ts';
import { modelBytes } from '../onnx/write.ts';
import { Session } from '../runtime/session.ts';
import { floatData, floats, type Tensor } from '../runtime/tensor.ts';
import { noise } from '../testing/noise.ts';
import { differentiate } from './differentiate.ts';
import { gradientName } from './differentiation.ts';
import { rules } from './rules.ts';

type Shape = readonly number[];

interface Case {
  /** The shapes of the inputs that are differentiated. */
  readonly shapes: fc.Arbitrary<readonly Shape[]>;
  readonly build: (b: GraphBuilder, inputs: readonly Value[], shapes: readonly Shape[]) => Value;
  /** The range of the inputs, for functions that are not defined or not smooth everywhere. */
  readonly domain?: (value: number, element: number, input: number) => number;
}

const dimension = fc.integer({ min: 1, max: 3 });
const shape = (minimum: number, maximum: number) => fc.array(dimension, { minLength: minimum, maxLength: maximum });
const one = shape(0, 4).map((only) => [only]);

/** Two shapes that broadcast against each other, each with its own repeated and missing axes. */
const broadcast: fc.Arbitrary<readonly Shape[]> = shape(0, 4).chain((whole) => {
  const side = fc.tuple(
    fc.integer({ min: 0, max: whole.length }),
    fc.array(fc.boolean(), { minLength: 4, maxLength: 4 }),
  );
  const narrow = ([skipped, ones]: [number, boolean[]]) =>
    whole.map((all, axis) => (ones[axis] ? 1 : all)).slice(skipped);
  return fc.tuple(side, side).map(([a, b]) => [narrow(a), narrow(b)]);
});

const sizes = (...axes: fc.Arbitrary<number>[]) => fc.tuple(...axes).map((dimensions) => dimensions as Shape);
const away = (value: number) => value + Math.sign(value) * 0.2;
const positive = (value: number) => Math.abs(value) + 0.3;

const input = (values: readonly Value[], index = 0): Value => values[index] as Value; // as many as shapes

const unary = (build: (b: GraphBuilder, x: Value) => Value, domain?: Case['domain']): Case => ({
  shapes: one,
  build: (b, values) => build(b, input(values)),
  ...(domain ? { domain } : {}),
});

const binary = (build: (b: GraphBuilder, x: Value, y: Value) => Value, domain?: Case['domain']): Case => ({
  shapes: broadcast,
  build: (b, values) => build(b, input(values), input(values, 1)),
  ...(domain ? { domain } : {}),
});

/** Values so far from each other that a small step does not change their order. */
const distinct = (value: number, element: number, of = 0) => ((element * 37) % 101) / 2 + of / 4 + value * 0.05;

const rows = sizes(dimension, dimension, fc.integer({ min: 2, max: 5 }));

const cases: Record<string, Case[]> = {
  Add: [binary((b, x, y) => b.add(x, y))],
  Sub: [binary((b, x, y) => b.sub(x, y))],
  Mul: [binary((b, x, y) => b.mul(x, y)), unary((b, x) => b.mul(x, x))],
  Div: [binary((b, x, y) => b.div(x, y), positive)],
  Pow: [binary((b, x, y) => b.pow(x, y), positive)],
  Max: [binary((b, x, y) => b.max(x, y), distinct)],
  Min: [binary((b, x, y) => b.min(x, y), distinct)],
  Sum: [binary((b, x, y) => b.sum([x, y, x]))],
  Mean: [binary((b, x, y) => b.call('', 'Mean', [x, y])[0] as Value)],
  Where: [binary((b, x, y) => b.where(b.greater(x, y), x, b.mul(y, 2)), distinct)],
  Clip: [
    unary(
      (b, x) => b.clip(x, -0.5, 0.5),
      (value) => value + 0.2 * Math.sign(Math.abs(value) - 0.5) * Math.sign(value),
    ),
    unary((b, x) => b.call('', 'Clip', [x, 0])[0] as Value, away),
  ],
  Cast: [unary((b, x) => b.cast(b.cast(x, DataType.DOUBLE), DataType.FLOAT))],
  Identity: [unary((b, x) => b.call('', 'Identity', [x])[0] as Value)],
  Neg: [unary((b, x) => b.neg(x))],
  Abs: [unary((b, x) => b.abs(x), away)],
  Sqrt: [unary((b, x) => b.sqrt(x), positive)],
  Exp: [unary((b, x) => b.exp(x))],
  Log: [unary((b, x) => b.log(x), positive)],
  Sin: [unary((b, x) => b.sin(x))],
  Cos: [unary((b, x) => b.cos(x))],
  Erf: [unary((b, x) => b.erf(x))],
  Relu: [unary((b, x) => b.relu(x), away)],
  Gelu: [unary((b, x) => b.gelu(x))],
  Sigmoid: [unary((b, x) => b.sigmoid(x))],
  Softplus: [unary((b, x) => b.softplus(x))],
  MatMul: [
    {
      shapes: fc.tuple(dimension, dimension, dimension, broadcast).map(([m, k, n, [left = [], right = []]]) => [
        [...left.slice(-2), m, k],
        [...right.slice(-2), k, n],
      ]),
      build: (b, values) => b.matmul(input(values), input(values, 1)),
    },
    {
      shapes: sizes(dimension, dimension).map(([m = 1, k = 1]) => [[m, k], [k]]),
      build: (b, [x, y]) => b.matmul(x as Value, y as Value),
    },
    {
      shapes: sizes(dimension, dimension).map(([k = 1, n = 1]) => [[k], [k, n]]),
      build: (b, [x, y]) => b.matmul(x as Value, y as Value),
    },
  ],
  Gemm: [
    [0, 0],
    [0, 1],
    [1, 0],
    [1, 1],
  ].map(([transA, transB]) => ({
    shapes: sizes(dimension, dimension, dimension).map(([m = 1, k = 1, n = 1]) => [
      transA ? [k, m] : [m, k],
      transB ? [n, k] : [k, n],
      [n],
    ]),
    build: (b, values) =>
      b.call('', 'Gemm', values, { transA, transB, alpha: float(1.5), beta: float(0.5) })[0] as Value,
  })),
  Conv: [
    { kernel: 1, stride: 1, padding: 0 },
    { kernel: 3, stride: 2, padding: 1 },
    { kernel: 2, stride: 3, padding: 0 },
    { kernel: 3, stride: 1, padding: 2 },
  ].map(({ kernel, stride, padding }) => ({
    shapes: fc
      .tuple(dimension, dimension, dimension, fc.integer({ min: 3, max: 7 }), fc.integer({ min: 3, max: 7 }))
      .map(([batch, inputs, outputs, height, width]) => [
        [batch, inputs, height, width],
        [outputs, inputs, kernel, kernel],
        [outputs],
      ]),
    build: (b, values) => b.conv(input(values), input(values, 1), input(values, 2), kernel, stride, padding),
  })),
  Softmax: [
    { shapes: rows.map((only) => [only]), build: (b, values) => b.softmax(input(values)) },
    { shapes: rows.map((only) => [only]), build: (b, values) => b.softmax(input(values), 1) },
  ],
  LayerNormalization: [
    {
      shapes: rows.map((only) => [only, only.slice(-1), only.slice(-1)]),
      build: (b, values) => b.layerNormalization(input(values), input(values, 1), input(values, 2), 0.1),
    },
  ],
  InstanceNormalization: [
    {
      shapes: sizes(dimension, dimension, dimension, dimension).map((only) => [only, [only[1] ?? 1], [only[1] ?? 1]]),
      build: (b, values) => b.instanceNormalization(input(values), input(values, 1), input(values, 2), 0.1),
    },
  ],
  ReduceSum: [
    { shapes: rows.map((only) => [only]), build: (b, values) => b.reduceSum(input(values), [0, -1], false) },
    { shapes: rows.map((only) => [only]), build: (b, values) => b.call('', 'ReduceSum', values)[0] as Value },
  ],
  ReduceMean: [
    { shapes: rows.map((only) => [only]), build: (b, values) => b.reduceMean(input(values), [1]) },
    { shapes: rows.map((only) => [only]), build: (b, values) => b.reduceMean(input(values), [0, 2], false) },
  ],
  ReduceMax: [
    {
      shapes: rows.map((only) => [only]),
      build: (b, values) => b.reduceMax(input(values), [-1], false),
      domain: distinct,
    },
  ],
  ReduceMin: [
    { shapes: rows.map((only) => [only]), build: (b, values) => b.reduceMin(input(values), [0, 1]), domain: distinct },
  ],
  CumSum: [
    { shapes: rows.map((only) => [only]), build: (b, values) => b.cumsum(input(values), 1) },
    {
      shapes: rows.map((only) => [only]),
      build: (b, values) => b.cumsumAt(input(values), b.integer(-1), { reverse: 1, exclusive: 1 }),
    },
  ],
  Reshape: [{ shapes: rows.map((only) => [only]), build: (b, values) => b.reshape(input(values), [0, -1]) }],
  Flatten: [{ shapes: rows.map((only) => [only]), build: (b, values) => b.call('', 'Flatten', values)[0] as Value }],
  Unsqueeze: [unary((b, x) => b.unsqueeze(x, [0]))],
  Squeeze: [{ shapes: rows.map((only) => [[1, ...only]]), build: (b, values) => b.squeeze(input(values), [0]) }],
  Transpose: [{ shapes: rows.map((only) => [only]), build: (b, values) => b.transpose(input(values), [2, 0, 1]) }],
  Expand: [
    {
      shapes: broadcast.map(([first = []]) => [first]),
      build: (b, values, [only = []]) =>
        b.expand(input(values), [2, 1, 1, ...only.map((each) => (each === 1 ? 3 : each))]),
    },
  ],
  Concat: [
    {
      shapes: fc.tuple(dimension, dimension, dimension).map(([n, a, c]) => [
        [n, a],
        [n, c],
      ]),
      build: (b, values) => b.concat([input(values), input(values, 1), input(values)], -1),
    },
  ],
  Split: [
    {
      shapes: sizes(dimension, dimension).map(([n = 1, m = 1]) => [[n, 3 + m]]),
      // The middle part is not used.
      build: (b, values, [only = []]) => {
        const [first, , last] = b.split(input(values), b.integers(1, 2, (only[1] ?? 4) - 3), 3, 1);
        return b.concat([first as Value, last as Value], 1);
      },
    },
  ],
  Slice: [
    {
      shapes: sizes(dimension, dimension).map(([n = 1, m = 1]) => [[n + 2, m + 3]]),
      build: (b, values) => b.slice(input(values), [1, -3], [-1, 100], [0, 1]),
    },
  ],
  Pad: [
    { shapes: rows.map((only) => [only]), build: (b, values) => b.pad(input(values), b.integers(1, 0, 2, 0, 3, 0), 7) },
  ],
  Gather: [0, 1, -1].map((axis) => ({
    shapes: rows.map((only) => [only.map((each) => each + 1)]),
    build: (b, values) => b.gather(input(values), b.constant(BigInt64Array.of(1n, 0n, 1n, -1n), [2, 2]), axis),
  })),
  GatherElements: [
    {
      shapes: sizes(dimension).map(([n = 1]) => [[n + 1, 2]]),
      build: (b, values) => b.gatherElements(input(values), b.constant(BigInt64Array.of(1n, 1n), [1, 2]), 0),
    },
  ],
  ScatterElements: [
    {
      shapes: sizes(dimension).map(([n = 1]) => [
        [n + 1, 2],
        [2, 2],
      ]),
      build: (b, values) =>
        b.scatterAdd(input(values), b.constant(BigInt64Array.of(1n, 0n, 1n, 1n), [2, 2]), input(values, 1), 0),
    },
  ],
  GatherND: [
    {
      shapes: sizes(dimension, dimension).map(([n = 1, m = 1]) => [[2, n + 1, m]]),
      build: (b, values) => b.gatherRows(input(values), b.constant(BigInt64Array.of(1n, 0n, 1n, 1n), [2, 2])),
    },
  ],
  TopK: [
    {
      shapes: sizes(dimension, dimension).map(([n = 1, m = 1]) => [[n, m + 2]]),
      build: (b, values) => b.topk(input(values), b.integers(2), 1).values,
      domain: distinct,
    },
  ],
  GridSample: [
    {
      shapes: fc
        .tuple(dimension, dimension, dimension, dimension, dimension, dimension)
        .map(([batch, channels, height, width, rows_, columns]) => [
          [batch, channels, height, width],
          [batch, rows_, columns, 2],
        ]),
      // Sampling points stay away from the lines between pixels, where the gradient jumps.
      build: (b, values, [image = []]) => {
        const [height = 1, width = 1] = image.slice(2);
        const pixels = b.constant(Float32Array.of(width, height), [2]);
        const pixel = b.round(b.mul(input(values, 1), 3));
        const centred = b.add(b.add(pixel, b.mul(input(values, 1), 0.3)), 1);
        return b.gridSample(input(values), b.sub(b.div(b.mul(centred, 2), pixels), 1));
      },
      domain: (value) => Math.round(value * 3) / 3 + value * 0.08,
    },
  ],
  Floor: [
    unary(
      (b, x) => b.add(x, b.floor(x)),
      (value) => 0.5 + value * 0.4,
    ),
  ],
  Ceil: [
    unary(
      (b, x) => b.add(x, b.call('', 'Ceil', [x])[0] as Value),
      (value) => 0.5 + value * 0.4,
    ),
  ],
  Round: [
    unary(
      (b, x) => b.add(x, b.round(x)),
      (value) => value * 0.4,
    ),
  ],
  Sign: [unary((b, x) => b.add(x, b.sign(x)), away)],
};

interface Problem {
  readonly shapes: readonly Shape[];
  readonly values: readonly Float32Array[];
}

/** Whether the dimensions of a model's inputs are stated or left open. */
async function checkCase(
  { build, domain = (value) => value }: Case,
  shapes: readonly Shape[],
  seed: number,
  open: boolean,
) {
  const b = new GraphBuilder('case');
  const inputs = shapes.map((only, index) =>
    b.input(`x${index}`, DataType.FLOAT, open ? only.map(() => undefined) : only),
  );
  const result = build(b, inputs, shapes);
  b.output('result', result);
  const weights = b.input(
    'weights',
    DataType.FLOAT,
    open ? (result.shape ?? []).map(() => undefined) : (result.shape ?? []),
  );
  const product = b.mul(result, weights);
  const loss = b.reduceSum(b.reshape(product, [-1]), [0], false);
  const names = inputs.map(({ name }) => name);
  const derived = differentiate(b.finish(), { loss: loss.name, parameters: names });
  const problem = {
    shapes,
    values: shapes.map((only, index) =>
      noise(elementCount(only), seed + index).map((value, element) => domain(value, element, index)),
    ),
  };
  await using session = await Session.create(modelBytes(derived));
  await compare(session, names, problem, seed, loss.name);
}

async function compare(
  session: Session,
  names: readonly string[],
  { shapes, values }: Problem,
  seed: number,
  loss: string,
) {
  const feeds = (): Record<string, Tensor> =>
    Object.fromEntries(names.map((name, index) => [name, floats(values[index] as Float32Array, shapes[index] ?? [])]));
  const evaluate = async (weights: Tensor): Promise<Float32Array> => {
    using outputs = await session.run({ ...feeds(), weights }, { outputs: ['result'] });
    return floatData(outputs.get('result')).slice();
  };
  // The shape of the result is learned from a run with weights that broadcast.
  const rank = session.outputs.get('result')?.shape?.length ?? 0;
  const unit = floats(Float32Array.of(1), new Array<number>(rank).fill(1));
  const isOpen = session.inputs.get('weights')?.shape?.every((each) => typeof each !== 'number') ?? true;
  const resultShape = isOpen
    ? await (async () => {
        using outputs = await session.run({ ...feeds(), weights: unit }, { outputs: ['result'] });
        return [...outputs.get('result').shape];
      })()
    : (session.inputs.get('weights')?.shape as number[]);
  const weights = floats(noise(elementCount(resultShape), seed + 99), resultShape);
  using outputs = await session.run({ ...feeds(), weights });
  expect(floatData(outputs.get(loss))).toHaveLength(1);
  for (const [index, name] of names.entries()) {
    const gradient = outputs.get(gradientName(name));
    expect(gradient.shape).toEqual(shapes[index]);
    const analytic = floatData(gradient);
    const at = values[index] as Float32Array;
    for (const [place, original] of at.entries()) {
      const along = async (step: number) => {
        at[place] = original + step;
        const result = await evaluate(weights);
        at[place] = original;
        return result.reduce((sum, value, element) => sum + value * (weights.data[element] as number), 0);
      };
      const step = 0.02;
      const near = (await along(step)) - (await along(-step));
      const far = (await along(2 * step)) - (await along(-2 * step));
      const numeric = (8 * near - far) / (12 * step); // an error of the fourth order in the step
      const error = Math.abs(numeric - (analytic[place] ?? Number.NaN));
      expect(error, `${name}[${place}]: ${analytic[place]} by the rule, ${numeric} by differences`).toBeLessThan(
        1e-3 * Math.max(1, Math.abs(numeric)),
      );
    }
  }
}

describe('each rule agrees with central differences', () => {
  for (const [operator, variants] of Object.entries(cases))
    for (const [number, variant] of variants.entries())
      test(`${operator} ${number}`, async () => {
        await fc.assert(
          fc.asyncProperty(variant.shapes, fc.integer(), fc.boolean(), (shapes, seed, open) =>
            checkCase(variant, shapes, seed, open),
          ),
          { numRuns: 8 },
        );
      });
});

test('each rule has a case here', () => {
  expect(Object.keys(cases).toSorted()).toEqual(Object.keys(rules).toSorted());
});

describe('the graph of gradients', () => {
  const start = () => {
    const b = new GraphBuilder('small');
    const x = b.input('x', DataType.FLOAT, [2, 3]);
    const w = b.input('w', DataType.FLOAT, [3, 4]);
    return { b, x, w };
  };

  test('an operator without a rule is named with its module path', () => {
    const { b, x, w } = start();
    const [result] = b.scope('encoder.layers.3', () => b.call('', 'Selu', [b.matmul(x, w)]));
    const loss = b.reduceSum(result as Value, [0, 1], false);
    expect(() => differentiate(b.finish(), { loss: loss.name, parameters: ['w'] })).toThrow(
      /No gradient is known for the operator Selu at encoder\.layers\.3\/Selu/,
    );
  });

  test('nodes that the loss does not need are removed, and values that are not parameters get no gradient', () => {
    const { b, x, w } = start();
    const product = b.matmul(x, w);
    b.exp(product);
    const loss = b.reduceSum(product, [0, 1], false);
    const { graph } = differentiate(b.finish(), { loss: loss.name, parameters: ['w'] });
    const operators = graph.node.map(({ opType }) => opType);
    expect(operators).not.toContain('Exp');
    // The product itself, and the one that is the gradient of w; the gradient of x would be a third.
    expect(operators.filter((each) => each === 'MatMul' || each === 'Gemm')).toHaveLength(2);
  });

  test('no gradient passes through a detached value', async () => {
    const { b, x, w } = start();
    const product = b.identity(b.matmul(x, w));
    const loss = b.reduceSum(product, [0, 1], false);
    const derived = differentiate(b.finish(), { loss: loss.name, parameters: ['w'], detached: [product.name] });
    await using session = await Session.create(modelBytes(derived));
    using outputs = await session.run({ x: floats(noise(6, 1), [2, 3]), w: floats(noise(12, 2), [3, 4]) });
    expect(floatData(outputs.get(gradientName('w')))).toEqual(new Float32Array(12));
  });
});
