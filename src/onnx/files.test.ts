/** Reading and writing a model loses nothing, whatever the file contains. */
import { mkdir, mkdtemp, readdir, readFile, symlink, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { create, createRegistry, equals, fromBinary, type MessageInitShape, toBinary } from '@bufbuild/protobuf';
import fc from 'fast-check';
import {
  AttributeProtoSchema,
  FunctionProtoSchema,
  file_onnx,
  GraphProtoSchema,
  ModelProtoSchema,
  NodeProtoSchema,
  StringStringEntryProtoSchema,
  TensorProto_DataLocation,
  TensorProtoSchema,
  ValueInfoProtoSchema,
} from 'onnx-buf';
import { beforeAll, describe, expect, test } from 'vitest';
import { InputError, UsageError } from '../base/errors.ts';
import { type Model, parseModel, readModel } from './read.ts';
import { tensorBytes } from './tensor.ts';
import { DataType } from './types.ts';
import { modelBytes, writeModel } from './write.ts';

let folder: string;
beforeAll(async () => {
  folder = await mkdtemp(join(tmpdir(), 'dino8-onnx-'));
});

const name = fc.string({ minLength: 1, maxLength: 12 });

const tensor = fc
  .record({ name, values: fc.array(fc.float({ noNaN: true }), { maxLength: 600 }), raw: fc.boolean() })
  .map(({ name: tensorName, values, raw }) =>
    create(TensorProtoSchema, {
      name: tensorName,
      dataType: DataType.FLOAT,
      dims: [BigInt(values.length)],
      ...(raw ? { rawData: new Uint8Array(Float32Array.from(values).buffer) } : { floatData: values }),
    }),
  );

/** Models with parts that dino8 does not use: docs, metadata, subgraphs, functions, unknown operators and fields. */
const anyModel = fc
  .record({
    tensors: fc.uniqueArray(tensor, { maxLength: 5, selector: (each) => each.name }),
    names: fc.uniqueArray(name, { maxLength: 5 }),
    doc: fc.string(),
  })
  .map(({ tensors, names, doc }) => {
    const subgraph = create(GraphProtoSchema, { name: 'inner', docString: doc, initializer: tensors.slice(0, 1) });
    const nodes = names.map((each) =>
      create(NodeProtoSchema, {
        name: each,
        opType: 'Unheard',
        domain: 'com.example',
        input: ['', each],
        output: [`${each}.out`],
        attribute: [create(AttributeProtoSchema, { name: 'body', g: subgraph })],
      }),
    );
    const graph = create(GraphProtoSchema, { name: 'g', docString: doc, node: nodes, initializer: tensors });
    const model = create(ModelProtoSchema, {
      irVersion: 8n,
      docString: doc,
      graph,
      functions: [create(FunctionProtoSchema, { name: 'f', domain: 'd', node: nodes })],
      metadataProps: names.map((key) => create(StringStringEntryProtoSchema, { key, value: doc })),
    });
    // This field does not exist in any version of ONNX.
    graph.$unknown = [{ no: 4000, wireType: 2, data: new Uint8Array([3, 1, 2, 3]) }];
    return Object.assign(model, { graph });
  });

const registry = createRegistry(file_onnx);

/** Compares two messages independently of the order of fields in their bytes. */
const sameModel = (a: Uint8Array, b: Uint8Array) =>
  equals(ModelProtoSchema, fromBinary(ModelProtoSchema, a), fromBinary(ModelProtoSchema, b), {
    unknown: true,
    registry,
  });

test('a round trip keeps any model equal', () => {
  fc.assert(
    fc.property(anyModel, (model) => {
      const original = toBinary(ModelProtoSchema, model);
      return sameModel(modelBytes(parseModel(original, 'it')), original);
    }),
    { numRuns: 200 },
  );
});

test('external data round-trips through files', async () => {
  await fc.assert(
    fc.asyncProperty(anyModel, async (model) => {
      const path = join(folder, 'external.onnx');
      await writeModel(model as Model, path, { externalData: true });
      const read = await readModel(path);
      expect(read.graph.initializer.map((each) => tensorBytes(each))).toEqual(
        model.graph.initializer.map((each) => tensorBytes(each)),
      );
      expect(sameModel(modelBytes(read), modelBytes(model as Model))).toBe(true);
    }),
    { numRuns: 30 },
  );
});

function modelWith(tensors: ReturnType<typeof create<typeof TensorProtoSchema>>[]): Model {
  const graph = create(GraphProtoSchema, { name: 'g', initializer: tensors });
  return Object.assign(create(ModelProtoSchema, { irVersion: 8n, graph }), { graph });
}

test('initializers are views into the file', () => {
  const bytes = modelBytes(
    modelWith([
      create(TensorProtoSchema, { name: 't', dataType: DataType.UINT8, dims: [4n], rawData: new Uint8Array(4) }),
    ]),
  );
  const [read] = parseModel(bytes, 'it').graph.initializer;
  expect(read?.rawData.buffer).toBe(bytes.buffer);
});

describe('files from untrusted sources', () => {
  const external = (location: string, extra: Record<string, string> = {}) =>
    modelWith([
      create(TensorProtoSchema, {
        name: 'w',
        dataType: DataType.FLOAT,
        dims: [1n],
        dataLocation: TensorProto_DataLocation.EXTERNAL,
        externalData: Object.entries({ location, ...extra }).map(([key, value]) =>
          create(StringStringEntryProtoSchema, { key, value }),
        ),
      }),
    ]);

  test.each(['../secret', '/etc/passwd', 'a/../../secret', ''])(
    'external data at "%s" is refused',
    async (location) => {
      const path = join(folder, 'hostile.onnx');
      await writeFile(path, toBinary(ModelProtoSchema, external(location)));
      await expect(readModel(path)).rejects.toThrow(/outside the folder/);
    },
  );

  test('external data behind a symbolic link is refused unless it lies beside the model itself', async () => {
    const place = await mkdtemp(join(tmpdir(), 'dino8-links-'));
    for (const inner of ['blobs', 'snapshot', 'elsewhere']) await mkdir(join(place, inner));
    const model = join(place, 'snapshot', 'model.onnx');
    await writeFile(join(place, 'elsewhere', 'secret'), new Uint8Array(4));
    await symlink(join(place, 'elsewhere', 'secret'), join(place, 'snapshot', 'weights'));
    await writeFile(model, toBinary(ModelProtoSchema, external('weights')));
    await expect(readModel(model)).rejects.toThrow(/points to "weights", a symbolic link that leaves the folder/);
    await symlink(join(place, 'elsewhere'), join(place, 'snapshot', 'sub'));
    await writeFile(model, toBinary(ModelProtoSchema, external('sub/secret')));
    await expect(readModel(model)).rejects.toThrow(/a symbolic link that leaves the folder/);
    // The cache of Hugging Face keeps the files in one folder, and links to them in others.
    await writeFile(join(place, 'blobs', 'b1'), toBinary(ModelProtoSchema, external('data')));
    await writeFile(join(place, 'blobs', 'b2'), new Uint8Array(4));
    for (const [link, blob] of [
      ['cached.onnx', 'b1'],
      ['data', 'b2'],
    ] as const)
      await symlink(join(place, 'blobs', blob), join(place, 'snapshot', link));
    const read = await readModel(join(place, 'snapshot', 'cached.onnx'));
    expect(read.graph.initializer[0]?.rawData).toHaveLength(4);
  });

  /** A function whose body calls others of its domain. */
  const calling = (name: string, called: readonly string[]) =>
    create(FunctionProtoSchema, {
      name,
      domain: 'd',
      input: ['a'],
      output: [`v${called.length}`],
      node: called.map((opType, at) =>
        create(NodeProtoSchema, { opType, domain: 'd', input: [at ? `v${at}` : 'a'], output: [`v${at + 1}`] }),
      ),
    });

  test.each([
    [
      'doubles its nodes forty times',
      Array.from({ length: 40 }, (_, at) => calling(`F${at}`, [`F${at + 1}`, `F${at + 1}`])),
      /more than \d+ nodes/,
    ],
    ['calls itself', [calling('F0', ['F1']), calling('F1', ['F0'])], /the function F0 calls itself/],
    [
      'calls all of nine',
      Array.from({ length: 9 }, (_, at) => calling(`F${at}`, ['F0', 'F1', 'F2', 'F3', 'F8'])),
      /calls itself/,
    ],
    [
      'is a long chain',
      Array.from({ length: 5000 }, (_, at) => calling(`F${at}`, [`F${at + 1}`])),
      /more than 64 deep/,
    ],
  ])('a model whose function %s is refused before anything follows its calls', (_, functions, message) => {
    const model = modelWith([]);
    model.functions = functions;
    model.graph?.node.push(create(NodeProtoSchema, { opType: 'F0', domain: 'd', input: ['x'], output: ['y'] }));
    expect(() => parseModel(toBinary(ModelProtoSchema, model), 'it')).toThrow(message);
  });

  test('a value that two nodes compute is refused, in functions too', () => {
    const node = create(NodeProtoSchema, { opType: 'Relu', input: ['x'], output: ['y'] });
    const model = modelWith([]);
    model.graph?.node.push(node, node);
    expect(() => parseModel(toBinary(ModelProtoSchema, model), 'it')).toThrow(/two nodes compute the value y/);
    const called = modelWith([]);
    called.functions = [create(FunctionProtoSchema, { name: 'F', domain: 'd', node: [node, node] })];
    expect(() => parseModel(toBinary(ModelProtoSchema, called), 'it')).toThrow(/two nodes compute the value y/);
  });

  test('a name that stands for two things is refused, as the checker of ONNX does', () => {
    const tensor = create(TensorProtoSchema, {
      name: 'w',
      dataType: DataType.UINT8,
      dims: [1n],
      rawData: new Uint8Array(1),
    });
    const value = create(ValueInfoProtoSchema, { name: 'w' });
    const node = create(NodeProtoSchema, { opType: 'Relu', input: ['x'], output: ['w'] });
    const body = create(FunctionProtoSchema, { name: 'F', domain: 'd' });
    const graphs: readonly [MessageInitShape<typeof GraphProtoSchema>, RegExp][] = [
      [{ initializer: [tensor, tensor] }, /two initializers have the name w/],
      [{ input: [value, value] }, /two inputs have the name w/],
      [{ initializer: [tensor], node: [node] }, /a node computes the value w, which is an input or an initializer/],
      [{ input: [value], node: [node] }, /a node computes the value w, which is an input or an initializer/],
    ];
    for (const [parts, message] of graphs) {
      const graph = create(GraphProtoSchema, parts);
      const branch = create(NodeProtoSchema, {
        attribute: [create(AttributeProtoSchema, { name: 'then_branch', g: graph })],
      });
      for (const whole of [graph, create(GraphProtoSchema, { name: 'outer', node: [branch] })]) {
        const bytes = toBinary(ModelProtoSchema, create(ModelProtoSchema, { irVersion: 8n, graph: whole }));
        expect(() => parseModel(bytes, 'it')).toThrow(message);
      }
    }
    const called = modelWith([]);
    called.functions = [body, body];
    expect(() => parseModel(toBinary(ModelProtoSchema, called), 'it')).toThrow(/two functions have the name/);
    // An initializer is the default of an input of its name.
    const defaults = create(GraphProtoSchema, { name: 'g', initializer: [tensor], input: [value] });
    parseModel(toBinary(ModelProtoSchema, create(ModelProtoSchema, { irVersion: 8n, graph: defaults })), 'it');
  });

  test.each(['0x10', '1e1', ' ', '-1', ''])('external data from %j on is refused', async (offset) => {
    const path = join(folder, 'offset.onnx');
    await writeFile(join(folder, 'offset.bin'), new Uint8Array(64));
    await writeFile(path, modelBytes(external('offset.bin', { offset })));
    await expect(readModel(path)).rejects.toThrow(/has the impossible offset/);
  });

  test('external data beyond the end of its file is refused', async () => {
    const path = join(folder, 'short.onnx');
    await writeFile(join(folder, 'short.data'), new Uint8Array(2));
    await writeFile(path, toBinary(ModelProtoSchema, external('short.data', { length: '4' })));
    await expect(readModel(path)).rejects.toThrow(/needs bytes up to 4 of short.data, which has only 2/);
  });

  test('a tensor whose bytes do not match its shape is refused', () => {
    const bad = create(TensorProtoSchema, {
      name: 'w',
      dataType: DataType.FLOAT,
      dims: [2n ** 40n],
      rawData: new Uint8Array(4),
    });
    expect(() => parseModel(toBinary(ModelProtoSchema, modelWith([bad])), 'it')).toThrow(InputError);
  });

  test('a missing file and a directory are usage errors', async () => {
    await expect(readModel(join(folder, 'none.onnx'))).rejects.toThrow(UsageError);
    await expect(readModel(folder)).rejects.toThrow(/is a directory/);
  });
});

test('a write that fails leaves nothing behind', async () => {
  const place = await mkdtemp(join(tmpdir(), 'dino8-full-'));
  const target = join(place, 'taken');
  await writeFile(target, 'precious');
  const model = modelWith([]);
  Object.defineProperty(model, 'irVersion', { get: () => 'not a number' });
  await expect(writeModel(model, target)).rejects.toThrow();
  expect(await readdir(place)).toEqual(['taken']);
  expect(await readFile(target, 'utf8')).toBe('precious');
});

test('a file that ends within a number is refused in words about the file', () => {
  // A graph with a node with an attribute, whose number of four bytes has two.
  const bytes = Uint8Array.of(0x3a, 7, 0x0a, 5, 0x2a, 3, 0x15, 0, 0);
  expect(() => parseModel(bytes, 'cut.onnx')).toThrow(
    'cut.onnx is not a readable ONNX model (it ends within a number)',
  );
});
