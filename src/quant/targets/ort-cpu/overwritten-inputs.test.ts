/** Blocks whose results take the place of their inputs compute the same, and hold one map in memory. */
import { execFile } from 'node:child_process';
import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { promisify } from 'node:util';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { packageRoot } from '../../../base/package-root.ts';
import { float } from '../../../onnx/attributes.ts';
import { GraphBuilder, type Value } from '../../../onnx/builder.ts';
import { copyModel } from '../../../onnx/copy.ts';
import * as operators from '../../../onnx/dino8-operators.ts';
import type { Model } from '../../../onnx/read.ts';
import { makeNode } from '../../../onnx/rewrite.ts';
import { makeTensor } from '../../../onnx/tensor.ts';
import { DataType, type FunctionProto } from '../../../onnx/types.ts';
import { makeValueInfo, valueInfoToTensorInfo } from '../../../onnx/value-info.ts';
import { modelBytes } from '../../../onnx/write.ts';
import { Session } from '../../../runtime/session.ts';
import { floatData, floats } from '../../../runtime/tensor.ts';
import { hasKernels, withKernels } from '../../../testing/kernels.ts';
import { noise } from '../../../testing/noise.ts';
import { integerProductFunction } from './integer-product.ts';
import { type LinearParts, linearFunction, linearOperator } from './linear-function.ts';
import { declareOverwrittenInputs } from './overwritten-inputs.ts';
import { QUERIES } from './projected-attention-function.ts';
import { RESIDUAL } from './projection-function.ts';

const CHANNELS = 16;
const BLOCK: LinearParts = { layers: 2, hasGelu: true, hasNorm: false, hasNormBefore: true };

/** Feed-forward blocks of the sum of x and 1, one behind the other; where `isReadLater`, their result is added to what they begin with. */
function blocks(count: number, isReadLater = false): Model {
  const b = new GraphBuilder('blocks');
  b.define(integerProductFunction());
  b.define(linearFunction(BLOCK));
  const number = (name: string, data: Float32Array | Uint8Array) => b.initializer(makeTensor(name, [], data));
  const vector = (name: string) => b.initializer(makeTensor(name, [CHANNELS], noise(CHANNELS, 7)));
  const layer = (name: string) => [
    number(`${name}.scale`, Float32Array.of(2 ** -5)),
    number(`${name}.zero`, Uint8Array.of(120)),
    b.initializer(
      makeTensor(
        `${name}.weight`,
        [1, CHANNELS / 4, CHANNELS, 4],
        Int8Array.from(noise(CHANNELS ** 2, 3), (x) => Math.round(x * 127)),
      ),
    ),
    number(`${name}.weight_scale`, Float32Array.of(2 ** -9)),
    vector(`${name}.bias`),
  ];
  const first = b.add(b.input('x', DataType.FLOAT, ['batch', undefined, CHANNELS]), number('one', Float32Array.of(1)));
  let value = first;
  for (let at = 0; at < count; at++) {
    const inputs = [
      value,
      ...layer(`${at}.first`),
      ...layer(`${at}.second`),
      vector(`${at}.scale`),
      vector(`${at}.bias`),
    ];
    value = b.call(operators.DOMAIN, linearOperator(BLOCK), inputs, { epsilon: float(1e-5) })[0] as Value; // one result
  }
  b.output('y', isReadLater ? b.add(value, first) : b.reduceMax(value, [1]));
  return b.finish();
}

const declared = (model: Model): Model => {
  const copy = copyModel(model);
  declareOverwrittenInputs(copy);
  return copy;
};

/** An operator with four results of the shape of x or, if not, of the sum of it and a value of which nothing is known. */
function resultsOfShape(name: string, isOfX: boolean): FunctionProto {
  const b = new GraphBuilder(name);
  const [x, other] = [b.input('x', DataType.FLOAT, []), b.input('other', DataType.FLOAT, [])];
  for (const result of ['bytes', 'image', 'text', 'sum']) b.output(result, isOfX ? b.mul(x, x) : b.add(x, other));
  return b.finishFunction(operators.DOMAIN);
}

const shapesOf = ({ graph }: Model) =>
  new Map(graph.valueInfo.map((info) => [info.name, valueInfoToTensorInfo(info)?.shape]));

async function run(model: Model, rows: number): Promise<Float32Array> {
  await using session = await Session.create(modelBytes(model), withKernels);
  using outputs = await session.run({ x: floats(noise(2 * rows * CHANNELS, 5), [2, rows, CHANNELS]) });
  return floatData(outputs.get('y')).slice();
}

describe('results in the place of inputs', () => {
  test('have the shape of the input, with one name for each dimension that is not known', () => {
    const model = blocks(2);
    expect(declareOverwrittenInputs(model)).toBe(2);
    const [shape, ...others] = shapesOf(model).values();
    expect(shape).toEqual(['batch', expect.stringMatching(/.+/), CHANNELS]);
    expect(others).toEqual([shape, shape]);
  });

  test.for([1, 2, 5, 8])('compute the same, %i blocks', async (count) => {
    for (const isReadLater of [false, true]) {
      const model = blocks(count, isReadLater);
      for (const rows of [0, 1, 50]) expect(await run(declared(model), rows)).toEqual(await run(model, rows));
    }
  });

  test('inputs of the graph, and results of it, have no shape but their own', () => {
    const model = blocks(1);
    const [node] = model.graph.node.filter(({ domain }) => domain === operators.DOMAIN);
    if (!node) throw new Error('the graph has a block');
    node.input[0] = 'x';
    expect(declareOverwrittenInputs(model)).toBe(0);
    expect(model.graph.valueInfo).toEqual([]);
    const other = blocks(2);
    const [first] = other.graph.node.filter(({ domain }) => domain === operators.DOMAIN);
    other.graph.output.push(makeValueInfo(first?.output[0] ?? '', DataType.FLOAT, undefined));
    expect(declareOverwrittenInputs(other)).toBe(0);
  });

  test('a projection overwrites its residual where both have the rows of one value', () => {
    const attention = operators.NORM_FUSION_ATTENTION_ADD + operators.QUANTIZED + operators.AND_SUM;
    const between = (residual: string, queries = 'sum', batch: 'x' | 'other' = 'x') => {
      const model = blocks(1);
      model.functions.push(resultsOfShape(attention, batch === 'x'));
      const inputs = (first: string, at: number, second: string) =>
        Array.from({ length: at + 1 }, (_, each) => (each === 0 ? first : each === at ? second : 'one'));
      const call = (operator: string, input: string[], output: string[]) =>
        Object.assign(makeNode(operator, operator, input, output), { domain: operators.DOMAIN });
      const [source = ''] = model.graph.node[0]?.output ?? [];
      model.graph.node.push(
        call(attention, [source, 'other'], ['bytes', 'image', 'text', 'sum']),
        call(operators.PROJECTED_DEFORMABLE_ATTENTION + operators.QUANTIZED, inputs('value', QUERIES, queries), [
          'sampled',
          '',
        ]),
        call(operators.PROJECTION_FEED_FORWARD, inputs('sampled', RESIDUAL, residual), ['end']),
      );
      declareOverwrittenInputs(model);
      return shapesOf(model);
    };
    expect(between('image').get('end')).toEqual(between('image').get('image'));
    expect(between('image').get('end')).toHaveLength(3);
    expect(between('text').has('end')).toBe(false);
    expect(between('image', 'text').has('end')).toBe(false);
    expect(between('image', 'sum', 'other').has('image')).toBe(false);
  });
});

describe.runIf(hasKernels && process.platform === 'linux')('the memory of blocks', () => {
  let folder: string;
  beforeAll(async () => {
    folder = await mkdtemp(join(tmpdir(), 'dino8-overwritten-'));
  });
  afterAll(() => rm(folder, { recursive: true, force: true }));

  const ROWS = 1_000_000;
  // The most memory by getrusage is at least that of the process that started this one.
  const SCRIPT = `
    import { readFileSync } from 'node:fs';
    const [runtime, model, rows, channels] = process.argv.slice(1);
    const { floats, kernelOptions, Session } = await import(runtime);
    const session = await Session.create(model, { threads: 1, ...kernelOptions() });
    (await session.run({ x: floats(new Float32Array(rows * channels), [1, Number(rows), Number(channels)]) })).dispose();
    console.log(/VmHWM:\\s*(\\d+) kB/.exec(readFileSync('/proc/self/status', 'utf8'))[1]);`;

  async function peakOf(model: Model): Promise<number> {
    const path = join(folder, 'model.onnx');
    await writeFile(path, modelBytes(model));
    const runtime = join(packageRoot, 'dist/runtime.mjs');
    const command = ['--input-type=module', '-e', SCRIPT, runtime, path, `${ROWS}`, `${CHANNELS}`];
    const { stdout } = await promisify(execFile)(process.execPath, command);
    return Number(stdout) * 1024;
  }

  test('is less by a map than where results have a place of their own', async () => {
    const model = blocks(4);
    const saved = (await peakOf(model)) - (await peakOf(declared(model)));
    const map = ROWS * CHANNELS * 4;
    expect(saved).toBeGreaterThan(0.7 * map);
    expect(saved).toBeLessThan(1.3 * map);
  }, 120_000);
});
