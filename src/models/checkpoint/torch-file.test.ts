/** Files of torch.save are read if PyTorch wrote them, with the same elements, and refused if they are damaged or hostile. */
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { gunzipSync } from 'node:zlib';
import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { Dino8Error, InputError } from '../../base/errors.ts';
import { packageRoot } from '../../base/package-root.ts';
import { PickleObject, type PickleValue } from './pickle-values.ts';
import { readSafetensors } from './safetensors.ts';
import { parseTorchFile } from './torch-file.ts';
import { TorchTensors } from './torch-tensor.ts';
import { findWeightSets, type WeightSet } from './weight-sets.ts';
import { readWeightsFile } from './weights-files.ts';

const fixtures = join(packageRoot, 'test/fixtures/checkpoints');
const nano = new Uint8Array(
  gunzipSync(readFileSync(join(packageRoot, 'test/fixtures/golden/original/nano-small-tensors.pth.gz'))),
);

async function modelOf(path: string): Promise<WeightSet> {
  const set = (await readWeightsFile(path)).find((each) => each.path.join() === 'model');
  if (!set) throw new Error(`${path} has the key model`);
  return set;
}

describe.each(['protocol2', 'protocol3', 'protocol4', 'protocol5', 'legacy', 'legacy4'])('%s', (name) => {
  test('has the elements that PyTorch has, beside arguments, optimizers, NumPy, classes and whatever else', async () => {
    const expected = await readSafetensors(join(fixtures, 'torch/expected.safetensors'));
    const model = await modelOf(join(fixtures, 'torch', `${name}.pth`));
    let compared = 0;
    for (const [tensor, { type, shape, bytes }] of expected) {
      if (!model.names.has(tensor)) continue;
      const found = model.read(tensor);
      expect({ type: found.type, shape: found.shape }, tensor).toEqual({ type, shape });
      expect(Buffer.compare(found.bytes, bytes), tensor).toBe(0);
      compared++;
    }
    expect(compared).toBe(name.startsWith('legacy') ? expected.size - 1 : expected.size);
  });
});

test('a tensor that only running code could make is refused, by name, when it is read and not before', async () => {
  const sets = await readWeightsFile(join(fixtures, 'torch/protocol2.pth'));
  const outer = sets.find(({ path }) => path.length === 0);
  expect(() => outer?.read('sparse')).toThrow(
    /protocol2\.pth: sparse is made by torch\._utils\._rebuild_sparse_tensor/,
  );
  expect(() => outer?.read('quantized')).toThrow(/_rebuild_qtensor/);
  expect(() => outer?.read('complex_tensor')).toThrow(/ComplexFloatStorage/);
});

test('contiguous tensors are views of the file', async () => {
  const [set] = findWeightSets(await parseTorchFile(nano, 'nano.pth'), 'nano.pth');
  for (const name of set?.names ?? []) expect(set?.read(name).bytes.buffer).toBe(nano.buffer);
  expect(set?.names.size).toBeGreaterThan(200);
});

test('truncated and damaged archives are refused in one sentence', async () => {
  await expect(parseTorchFile(nano.slice(0, 100_000), 'short.pth')).rejects.toThrow(
    /short\.pth is not a readable file of torch\.save/,
  );
  await expect(parseTorchFile(new Uint8Array(50), 'noise.pth')).rejects.toThrow(InputError);
  const legacy = new Uint8Array(readFileSync(join(fixtures, 'torch/legacy.pth')));
  await expect(parseTorchFile(legacy.slice(0, -10), 'short.pth')).rejects.toThrow(/short\.pth ends in the middle/);
});

describe('weights are looked for in bounded work', () => {
  const file = (value: PickleValue) => ({ value, tensors: new TorchTensors({ bytesOf: () => undefined }, 0) });
  const tensor = new PickleObject('torch._utils._rebuild_tensor_v2', []);
  const moduleWith = (state: readonly [string, PickleValue][]) => {
    const made = new PickleObject('evil.Module', []);
    made.state = new Map(state);
    return made;
  };

  test('also if many modules are made of the same large one', () => {
    let visited = 0;
    class Counted extends Map<PickleValue, PickleValue> {
      override *[Symbol.iterator]() {
        for (const entry of super[Symbol.iterator]()) {
          visited++;
          yield entry;
        }
        return undefined;
      }
    }
    const parameters = new Counted(Array.from({ length: 20_000 }, (_, index) => [`p${index}`, null]));
    const shared = moduleWith([
      ['_modules', new Map()],
      ['_parameters', parameters],
    ]);
    const modules = Array.from({ length: 100 }, (_, index): [string, PickleValue] => [
      `m${index}`,
      moduleWith([['_modules', new Map([['inner', shared]])]]),
    ]);
    findWeightSets(file(new Map(modules)), 'modules.pth');
    // Each of the hundred has 20,000 parameters.
    expect(visited).toBeLessThan(500_000);
  });

  test('and a text of a million letters is no name, of which each tensor would have a copy', () => {
    const long = 'n'.repeat(1_000_000);
    const value = new Map([
      [long, tensor],
      ['short', tensor],
    ]);
    expect(findWeightSets(file(value), 'names.pth').map(({ names }) => [...names])).toEqual([['short']]);
    const inside = new Map([[long, new Map([['short', tensor]])]]);
    expect(findWeightSets(file(inside), 'names.pth').map(({ path }) => path)).toEqual([['?']]);
  });
});

test('a compressed archive is refused, because it may grow beyond bounds', async () => {
  // The compression method of the first entry in the central directory becomes "deflated".
  const bomb = nano.slice();
  const directory = Buffer.from(bomb.buffer).indexOf(Buffer.from([0x50, 0x4b, 1, 2]));
  bomb[directory + 10] = 8;
  await expect(parseTorchFile(bomb, 'bomb.pth')).rejects.toThrow(/is compressed/);
});

/** A file in the old format with one tensor `a` of two floats, described by the given pickle of a call's arguments. */
function legacyFile(description: string): Uint8Array<ArrayBuffer> {
  const magic = Buffer.from('80028a0a6cfc9c46f9206aa850192e', 'hex');
  const version = Buffer.from('80024de9032e', 'hex');
  const body = Buffer.from(`(dVvalid\n${described(0, [1], [1])}sVa\n${description}s.`, 'latin1');
  const keys = Buffer.from('(lVk\na.', 'latin1');
  const storage = Buffer.alloc(16);
  storage.writeBigUInt64LE(2n);
  return Uint8Array.from(Buffer.concat([magic, version, Buffer.from('}.'), body, keys, storage]));
}

/** The description of a tensor with this offset, shape and strides. */
const described = (offset: number, shape: readonly number[], strides: readonly number[]) => {
  const tuple = (values: readonly number[]) => `(${values.map((value) => `I${value}\n`).join('')}t`;
  return `ctorch._utils\n_rebuild_tensor_v2\n((Vstorage\nctorch\nFloatStorage\nVk\nVcpu\nI2\ntQI${offset}\n${tuple(shape)}${tuple(strides)}I00\n}tR`;
};

describe('hostile tensors', () => {
  const readA = async (description: string) => {
    const [set] = findWeightSets(await parseTorchFile(legacyFile(description), 'evil.pth'), 'evil.pth');
    return set?.read('a');
  };

  test('the file that the others are made from is read', async () => {
    expect((await readA(described(0, [2], [1])))?.shape).toEqual([2]);
    expect((await readA(described(1, [1, 1], [7, 9])))?.bytes).toHaveLength(4);
  });

  test.each([
    ['beyond its storage', described(1, [2], [1]), /more than its storage holds/],
    ['strides beyond its storage', described(0, [2, 2], [1, 5]), /more than its storage holds/],
    [
      'a product of dimensions beyond all numbers',
      described(0, [9e15, 9e15, 9e15], [1, 1, 1]),
      /more than its storage holds/,
    ],
    ['one element a billion times', described(0, [1e9], [0]), /repeats its elements/],
    ['endless dimensions', described(0, Array(100).fill(1), Array(100).fill(1)), /not use/],
    ['as many strides as nothing', described(0, [2], []), /not use/],
    ['a negative offset', described(-1, [1], [1]), /not use/],
    [
      'a parameter that contains itself',
      'ctorch._utils\n_rebuild_parameter\n(lp0\nRp1\n0g0\ng1\na0g1\n',
      /contains itself/,
    ],
  ])('%s is refused', async (_, description, message) => {
    await expect(readA(description)).rejects.toThrow(InputError);
    await expect(readA(description)).rejects.toThrow(message);
  });

  test('a module that contains itself, twice at each level, is walked through once for each of a bounded number of names', async () => {
    const module = `cnn\nModule\n(tRp0\n(dV_modules\n(dVa\ng0\nsVb\ng0\nssV_parameters\n(dVw\n${described(0, [1], [1])}ssb`;
    const start = process.cpuUsage().user;
    findWeightSets(await parseTorchFile(legacyFile(module), 'evil.pth'), 'evil.pth');
    expect(process.cpuUsage().user - start).toBeLessThan(5e6);
  });
});

describe('no mutation crashes the reader', () => {
  const readAll = async (bytes: Uint8Array<ArrayBuffer>) => {
    try {
      for (const set of findWeightSets(await parseTorchFile(bytes, 'it'), 'it'))
        for (const name of set.names)
          try {
            set.read(name);
          } catch (error) {
            if (!(error instanceof Dino8Error)) throw error;
          }
    } catch (error) {
      if (!(error instanceof Dino8Error)) throw error;
      expect(error.message).not.toMatch(/\n/);
    }
  };

  test.each(['torch/protocol2.pth', 'torch/protocol4.pth', 'torch/legacy.pth', 'weights/whole_module_in.pth'])(
    '%s',
    async (name) => {
      const valid = new Uint8Array(readFileSync(join(fixtures, name)));
      const place = fc.integer({ min: 0, max: valid.length - 1 });
      const change = fc.tuple(
        place,
        fc.oneof(fc.integer({ min: 0, max: 255 }), fc.constantFrom(...Buffer.from('(.0RbtsuaeQ}])'))),
      );
      await fc.assert(
        fc.asyncProperty(fc.array(change, { minLength: 1, maxLength: 6 }), fc.option(place), async (changes, cut) => {
          const damaged = valid.slice(0, cut ?? valid.length);
          for (const [at, value] of changes) if (at < damaged.length) damaged[at] = value;
          await readAll(damaged);
        }),
        { numRuns: 300 },
      );
    },
  );
});
