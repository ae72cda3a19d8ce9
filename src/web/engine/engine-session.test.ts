/** The models and inputs that the engine refuses: each in one sentence, after which it runs other models. */
import { create } from '@bufbuild/protobuf';
import { FunctionProtoSchema } from 'onnx-buf';
import { describe, expect, test } from 'vitest';
import { InputError, MemoryError } from '../../base/errors.ts';
import { makeAttribute } from '../../onnx/attributes.ts';
import { GraphBuilder } from '../../onnx/builder.ts';
import type { Model } from '../../onnx/parse.ts';
import { importDomain, makeNode } from '../../onnx/rewrite.ts';
import { makeTensor } from '../../onnx/tensor.ts';
import { DataType } from '../../onnx/types.ts';
import { modelBytes } from '../../onnx/write.ts';
import { engineFiles } from '../../pipeline/web/engine-files.ts';
import { RuntimeError } from '../../runtime/error.ts';
import { floatData, floats, integers } from '../../runtime/tensor.ts';
import { EngineModule, supportedVariants } from './engine-module.ts';
import { EngineSession } from './engine-session.ts';

/** y = x · 2 + 1, with x [rows, 3]. */
function simple(change: (model: Model) => void = () => {}): Uint8Array {
  const b = new GraphBuilder('simple');
  const x = b.input('x', DataType.FLOAT, ['rows', 3]);
  const y = b.scope('layer', () => b.add(b.mul(x, b.initializer(makeTensor('two', [], Float32Array.of(2)))), 1));
  b.output('y', y, ['rows', 3]);
  const model = b.finish();
  change(model);
  return modelBytes(model);
}

const rows = (...numbers: number[]) => floats(Float32Array.from(numbers), [numbers.length / 3, 3]);

const files = await engineFiles();
const why = files ? '' : ' (it needs `node kernels/build-engine.mjs`)';

test('modules that are not the engine are refused in one sentence', async () => {
  const empty = Uint8Array.of(0, 0x61, 0x73, 0x6d, 1, 0, 0, 0);
  await expect(EngineModule.create(empty)).rejects.toThrow(
    /^The file is not this version of dino8's engine: it has no /,
  );
  await expect(EngineModule.create(Uint8Array.of(1, 2, 3))).rejects.toThrow(/^The engine does not start here/);
  await expect(EngineModule.create(Uint8Array.of(1, 2, 3))).rejects.toThrow(RuntimeError);
});

test('vectors of WebAssembly are found', () => {
  // All versions of Node.js that dino8 supports have them.
  expect(supportedVariants()).toContain('simd');
});

describe.skipIf(!files)(`the engine${why}`, () => {
  const start = async () => EngineModule.create(files?.simd ?? new Uint8Array());
  const load = async (model: Uint8Array, engine?: EngineModule) =>
    EngineSession.create(engine ?? (await start()), model, 'the model');

  test('runs a model, whose inputs it describes', async () => {
    const session = await load(simple());
    expect([...session.inputs]).toEqual([['x', { type: DataType.FLOAT, shape: ['rows', 3] }]]);
    const results = await session.run({ x: rows(1, 2, 3, 4, 5, 6) });
    expect(results.names).toEqual(['y']);
    expect(results.get('y').shape).toEqual([2, 3]);
    expect([...floatData(results.get('y'))]).toEqual([3, 5, 7, 9, 11, 13]);
    expect(() => results.get('z')).toThrow('The run has no output z; it has y.');
    // Other sizes, and none at all.
    expect([...floatData((await session.run({ x: rows(0, 0, 1) })).get('y'))]).toEqual([1, 1, 3]);
    expect((await session.run({ x: rows() })).get('y').shape).toEqual([0, 3]);
    await session.close();
    await session.close();
    await expect(session.run({ x: rows(1, 2, 3) })).rejects.toThrow('the model was closed.');
  });

  test('runs models of one module in turns, and tells the time of each node', async () => {
    const engine = await start();
    const [first, second] = [await load(simple(), engine), await load(simple(), engine)];
    const runs = [first, second, first].map((session, index) => session.run({ x: rows(index, 0, 0) }));
    const found = await Promise.all(runs);
    expect(found.map((results) => floatData(results.get('y'))[0])).toEqual([1, 3, 5]);
    await first.close();
    const profile = await second.profile({ x: rows(1, 2, 3) }, 2);
    expect(profile.map(([name, type]) => [name, type])).toEqual([
      ['layer/Mul', 'Mul'],
      ['layer/Add', 'Add'],
      ['y', 'Identity'],
    ]);
    expect(profile.every(([, , time]) => time >= 0 && time < 1e6)).toBe(true);
  });

  test('stops at a signal between nodes, and runs again', async () => {
    const b = new GraphBuilder('long');
    let y = b.input('x', DataType.FLOAT, ['n']);
    for (let index = 0; index < 300; index++) y = b.add(y, 1);
    b.output('y', y, ['n']);
    const session = await load(modelBytes(b.finish()));
    const x = floats(Float32Array.of(0), [1]);
    await expect(session.run({ x }, { signal: AbortSignal.abort(new Error('before')) })).rejects.toThrow('before');
    const controller = new AbortController();
    const stopped = session.run({ x }, { signal: controller.signal });
    setImmediate(() => controller.abort(new Error('within')));
    await expect(stopped).rejects.toThrow('within');
    const { signal } = new AbortController();
    expect(floatData((await session.run({ x }, { signal })).get('y'))[0]).toBe(300);
  });

  test('keeps what depends on a steady input alone until its numbers, its sizes or those of another input change', async () => {
    const b = new GraphBuilder('steady');
    const [x, mask] = [b.input('x', DataType.FLOAT, ['n']), b.input('mask', DataType.FLOAT, ['m'])];
    const length = b.cast(b.shapeOf(x), DataType.FLOAT);
    let y = b.add(b.mul(b.reduceSum(mask, [0], true), length), x);
    for (let index = 0; index < 200; index++) y = b.add(y, 1); // so that a run can be stopped
    b.output('y', y);
    b.output('doubled', b.mul(mask, 2)); // an output that is kept
    const session = await EngineSession.create(await start(), modelBytes(b.finish()), 'the model', [
      'mask',
      'no input',
    ]);
    const feeds = (size: number, ...numbers: number[]) => ({
      x: floats(new Float32Array(size).fill(0.5), [size]),
      mask: floats(Float32Array.from(numbers), [numbers.length]),
    });
    const masks = [[1, 2], [1, 2], [1, 3], [1, 2], [1, 2, 0], [-0], [0], [NaN], [NaN], [1, 2]];
    for (const numbers of masks)
      for (const size of [1, 1, 2, 1]) {
        const results = await session.run(feeds(size, ...numbers));
        const sum = numbers.reduce((total, number) => total + number, 0);
        expect([...floatData(results.get('y'))]).toEqual(new Array(size).fill(sum * size + 200.5));
        expect([...floatData(results.get('doubled'))]).toEqual(numbers.map((number) => 2 * number));
      }
    // A run that is stopped has not computed all that is kept.
    const controller = new AbortController();
    const stopped = session.run(feeds(1, 4), { signal: controller.signal });
    setImmediate(() => controller.abort(new Error('within')));
    await expect(stopped).rejects.toThrow('within');
    for (const number of [4, 5, 4])
      expect([...floatData((await session.run(feeds(1, number))).get('y'))]).toEqual([number + 200.5]);
    await session.close();
  });

  test('keeps nothing where sizes depend on numbers that change, by whichever name of the standard domain', async () => {
    const b = new GraphBuilder('counted');
    const count = b.input('count', DataType.INT64, [1]);
    b.output('y', b.shapeOf(b.expand(b.integers(1), [count])));
    const model = b.finish();
    for (const each of model.graph.node) if (each.opType === 'Expand') each.domain = 'ai.onnx';
    const session = await load(modelBytes(model));
    for (const size of [3, 5, 2])
      expect([...(await session.run({ count: integers([size], [1]) })).get('y').data]).toEqual([BigInt(size)]);
  });

  test('inlines functions that it has no operator for, and keeps those that it has', async () => {
    const bytes = simple((model) => {
      const [mul] = model.graph.node;
      if (!mul) return;
      importDomain(model, 'some.where');
      const inner = makeNode('Mul', 'inner', ['a', 'b'], ['c']);
      const names = { name: 'Twice', domain: 'some.where', input: ['a', 'b'], output: ['c'] };
      model.functions.push(create(FunctionProtoSchema, { ...names, node: [inner], opsetImport: model.opsetImport }));
      mul.domain = 'some.where';
      mul.opType = 'Twice';
    });
    const session = await load(bytes);
    expect([...floatData((await session.run({ x: rows(1, 2, 3) })).get('y'))]).toEqual([3, 5, 7]);
  });

  test('runs nodes in an order in which they can run, whatever that of the file is', async () => {
    const session = await load(simple(({ graph }) => graph.node.reverse()));
    expect([...floatData((await session.run({ x: rows(1, 2, 3) })).get('y'))]).toEqual([3, 5, 7]);
  });

  const node = (model: Model, type: string) => {
    const found = model.graph.node.find(({ opType }) => opType === type);
    if (!found) throw new Error(`no ${type}`);
    return found;
  };

  test.each<[string, (model: Model) => void, RegExp]>([
    [
      'an operator that it lacks',
      (model) => {
        node(model, 'Mul').opType = 'Bernoulli';
      },
      /^the model does not load: the engine does not have the operator Bernoulli of the node layer\/Mul\.$/,
    ],
    [
      'an operator of another domain',
      (model) => {
        node(model, 'Mul').domain = 'some.where';
      },
      /the operator some\.where::Mul of the node layer\/Mul\.$/,
    ],
    [
      'a constant of a type that it lacks',
      (model) => model.graph.initializer.splice(0, 1, makeTensor('two', [], Float64Array.of(2))),
      /^the model does not load: the constant two has the type DOUBLE, which the engine does not have\.$/,
    ],
    [
      'constants of different types',
      (model) => model.graph.initializer.splice(0, 1, makeTensor('two', [], BigInt64Array.of(2n))),
      /layer\/Mul/,
    ],
    [
      'a value that nothing computes',
      (model) => {
        node(model, 'Mul').input[1] = 'nowhere';
      },
      /^the model does not load: the node layer\/Mul \(Mul\): it reads a value that no node before it computes\.$/,
    ],
    [
      'a circle',
      (model) => {
        node(model, 'Mul').input[1] = node(model, 'Add').output[0] ?? '';
      },
      /has a cycle at the node layer\//,
    ],
    [
      'an input that is missing',
      (model) => {
        node(model, 'Mul').input.pop();
      },
      /layer\/Mul \(Mul\)/,
    ],
    [
      'an attribute of a kind that it lacks',
      (model) => node(model, 'Mul').attribute.push(makeAttribute('t', makeTensor('', [], Float32Array.of(1)))),
      /^the model does not load: the node layer\/Mul \(Mul\) has the attribute t of a kind that the engine does not have\.$/,
    ],
    [
      'operators of a version that it does not know',
      (model) => {
        for (const each of model.opsetImport) each.version = 99n;
      },
      /it uses version 99 of the ONNX operators/,
    ],
    [
      'an output that nothing computes',
      (model) => {
        for (const each of model.graph.output) each.name = 'nowhere';
      },
      /^the model does not load: no node computes an output\.$/,
    ],
    [
      'an input that is a text',
      (model) => {
        const type = model.graph.input[0]?.type?.value;
        if (type?.case === 'tensorType') type.value.elemType = DataType.STRING;
      },
      /the input x is of the type STRING/,
    ],
    [
      'a constant that takes more memory than there is',
      (model) => {
        model.graph.node.push(makeNode('ConstantOfShape', 'huge', ['sizes'], ['zeros']));
        model.graph.initializer.push(makeTensor('sizes', [2], BigInt64Array.of(1n << 20n, 1n << 40n)));
        node(model, 'Mul').input[1] = 'zeros';
      },
      /the node huge \(ConstantOfShape\)/,
    ],
    [
      'more dimensions than it knows',
      (model) => {
        const wide = makeTensor(
          'two',
          Array.from({ length: 300 }, () => 1),
          Float32Array.of(2),
        );
        model.graph.initializer.splice(0, 1, wide);
      },
      /a constant is too large/,
    ],
  ])('refuses a model with %s', async (_, change, message) => {
    const engine = await start();
    const error = await load(simple(change), engine)
      .then((session) => session.run({ x: rows(1, 2, 3) })) // types are known when a model runs
      .catch((thrown: unknown) => thrown);
    expect(error).toBeInstanceOf(Error);
    expect(String((error as Error).message)).toMatch(message); // checked in the line above
    expect((error as Error).name).toMatch(/RuntimeError|InputError|MemoryError/); // as above
    expect((await (await load(simple(), engine)).run({ x: rows(1, 2, 3) })).names).toEqual(['y']);
  });

  test('refuses files that are cut off', async () => {
    const whole = simple();
    const engine = await start();
    for (let length = 0; length < whole.length; length += 7)
      await expect(load(whole.subarray(0, length), engine)).rejects.toThrow(/^the model/);
    await expect(load(whole.subarray(0, whole.length - 5), engine)).rejects.toThrow(InputError);
  });

  test('refuses inputs that do not fit', async () => {
    const session = await load(simple());
    await expect(session.run({})).rejects.toThrow('the model needs the input x, which was not given.');
    await expect(session.run({ x: rows(1, 2, 3), z: rows(1, 2, 3) })).rejects.toThrow(
      'the model has no input z; its inputs are x.',
    );
    await expect(session.run({ x: floats(new Float32Array(4), [1, 4]) })).rejects.toThrow(
      'the model takes x as FLOAT[rows, 3] and was given FLOAT[1, 4].',
    );
    await expect(session.run({ x: integers([1, 2, 3], [1, 3]) })).rejects.toThrow(
      /FLOAT\[rows, 3\] and was given INT64/,
    );
    const short = { type: DataType.FLOAT, shape: [2, 3], data: new Float32Array(3) };
    await expect(session.run({ x: short })).rejects.toThrow('given x as FLOAT[2, 3] with 3 elements');
    expect((await session.run({ x: rows(1, 2, 3) })).names).toEqual(['y']);
  });

  test('says which node fails in a run', async () => {
    const b = new GraphBuilder('lookup');
    const table = b.initializer(makeTensor('table', [3], Float32Array.of(1, 2, 3)));
    const index = b.input('index', DataType.INT64, ['n']);
    b.output(
      'y',
      b.scope('words', () => b.gather(table, index, 0)),
      ['n'],
    );
    const session = await load(modelBytes(b.finish()));
    await expect(session.run({ index: integers([3], [1]) })).rejects.toThrow(
      /^the model failed on index INT64\[1\]: the node words\/Gather \(Gather\): .*\.$/,
    );
    expect([...floatData((await session.run({ index: integers([2, -3], [2]) })).get('y'))]).toEqual([3, 1]);
  });

  test('says what is wrong with an input, whatever was wrong in the run before', async () => {
    const session = await load(
      simple(({ graph }) => {
        const type = graph.input[0]?.type?.value;
        if (type?.case === 'tensorType') delete type.value.shape;
        graph.initializer.splice(0, 1, makeTensor('two', [2], Float32Array.of(2, 2)));
      }),
    );
    await expect(session.run({ x: rows(1, 2, 3) })).rejects.toThrow(/the node layer\/Mul \(Mul\)/);
    const deep = Array.from({ length: 9 }, () => 1);
    await expect(session.run({ x: floats(Float32Array.of(1), deep) })).rejects.toThrow(
      /: an input is too large, or has too many dimensions\.$/,
    );
  });

  test('gives an empty result with the largest dimension that there is', async () => {
    const b = new GraphBuilder('empty');
    const x = b.input('x', DataType.UINT8, [1]);
    const [none, most] = [b.input('none', DataType.INT64, [1]), b.input('most', DataType.INT64, [1])];
    b.output('y', b.expand(x, [none, most]), ['none', 'most']);
    const session = await load(modelBytes(b.finish()));
    const largest = 2 ** 31;
    const sizes = {
      x: { type: DataType.UINT8, shape: [1], data: Uint8Array.of(1) },
      none: integers([0], [1]),
      most: integers([largest], [1]),
    };
    expect((await session.run(sizes)).get('y').shape).toEqual([0, largest]);
  });

  test('says that memory ran out', async () => {
    const b = new GraphBuilder('growing');
    const [rows, columns] = [b.input('rows', DataType.INT64, [1]), b.input('columns', DataType.INT64, [1])];
    const x = b.input('x', DataType.FLOAT, [1]);
    b.output('y', b.reduceSum(b.add(b.expand(x, [rows, columns]), 1), [0, 1], false), []);
    const engine = await start();
    const session = await load(modelBytes(b.finish()), engine);
    const sizesOf = (...[high = 1, wide = 1]: number[]) => ({
      x: floats(Float32Array.of(1), [1]),
      rows: integers([high], [1]),
      columns: integers([wide], [1]),
    });
    expect(floatData((await session.run(sizesOf(4, 6))).get('y'))[0]).toBe(48);
    // Of the 4 GiB that 32 bits address this leaves less than a tensor of 1.2 GB; the system gives memory only when it is written to.
    for (let part = 0; part < 2; part++) expect(engine.call('dino8_allocate', 1.6e9)).not.toBe(0);
    await expect(session.run(sizesOf(1024, 300 * 1024))).rejects.toThrow(MemoryError);
    await expect(session.run(sizesOf(1024, 300 * 1024))).rejects.toThrow(
      /^the model failed on .* because there is too little memory \(the node Expand.* close other tabs/,
    );
    expect(floatData((await session.run(sizesOf(1, 1))).get('y'))[0]).toBe(2);
  });

  test('says that the engine stopped, and does not use it again', async () => {
    const engine = await start();
    const session = await load(simple(), engine);
    // An address that is none makes WebAssembly stop.
    expect(() => engine.call('dino8_graph_nodes', -4)).toThrow(/^the engine stopped/);
    await expect(session.run({ x: rows(1, 2, 3) })).rejects.toThrow(/stopped at an earlier error/);
    await expect(session.run({ x: rows(1, 2, 3) })).rejects.toThrow(RuntimeError);
    await session.close();
  });
});
