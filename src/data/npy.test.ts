/** The arrays in test/fixtures/numpy were written by NumPy, and once more by the safetensors library. */
import { readdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import fc from 'fast-check';
import { beforeAll, describe, expect, test } from 'vitest';
import { Dino8Error, InputError } from '../base/errors.ts';
import { readBytes } from '../base/files.ts';
import { packageRoot } from '../base/package-root.ts';
import type { StoredTensor } from '../models/checkpoint/checkpoint.ts';
import { readSafetensors } from '../models/checkpoint/safetensors.ts';
import { DataType } from '../onnx/types.ts';
import type { Tensor } from '../runtime/tensor.ts';
import { tensorData } from '../runtime/tensor.ts';
import { parseNpy } from './npy.ts';
import { parseNpz } from './npz.ts';

const folder = join(packageRoot, 'test/fixtures/numpy');
let expected: ReadonlyMap<string, StoredTensor>;
beforeAll(async () => {
  expected = await readSafetensors(join(folder, 'arrays.safetensors'));
});

function expectSame(found: Tensor | undefined, name: string): void {
  const stored = expected.get(name);
  expect(found?.type, name).toBe(stored?.type);
  expect(found && Buffer.from(tensorData(found)), name).toEqual(Buffer.from(stored?.bytes ?? []));
  // The safetensors library has no scalars of NumPy: they are vectors of one element there.
  expect(found?.shape, name).toEqual(name === 'scalar' ? [] : stored?.shape);
}

describe.each(['stored.npz', 'compressed.npz'])('%s', (file) => {
  test('holds the arrays that were saved, those in column-major order included', async () => {
    const arrays = await parseNpz(await readBytes(join(folder, file)), file);
    expect([...arrays.keys()].toSorted()).toEqual([...expected.keys()].toSorted());
    for (const [name, array] of arrays) expectSame(array, name);
  });
});

test('a single array in column-major order is read in row-major order', async () => {
  expectSame(await parseNpy(await readBytes(join(folder, 'by_columns.npy')), 'x'), 'by_columns');
});

test.each(['version_2.npy', 'version_3.npy'])('%s is read', async (file) => {
  expectSame(await parseNpy(await readBytes(join(folder, file)), file), 'array_f4');
});

test.each([
  ['big_endian.npy', 'big-endian'],
  ['objects.npy', 'not plain numbers'],
  ['texts.npy', 'not plain numbers'],
  ['complex.npy', 'not plain numbers'],
])('%s is refused with a sentence that says why', async (file, reason) => {
  const reading = parseNpy(await readBytes(join(folder, file)), file);
  await expect(reading).rejects.toThrow(InputError);
  await expect(reading).rejects.toThrow(reason);
});

test('an element type of one byte has no byte order, whatever the header says', async () => {
  const file = npyOf("{'descr': '>i1', 'fortran_order': False, 'shape': (2,), }", Uint8Array.of(1, 255));
  const { type, data } = await parseNpy(file, 'x');
  expect(type).toBe(DataType.INT8);
  expect([...data]).toEqual([1, -1]);
});

test.each([
  [
    'more elements than the file holds',
    "{'descr': '<f4', 'fortran_order': False, 'shape': (9999999999999, 99999999), }",
  ],
  ['fewer elements than the file holds', "{'descr': '<f4', 'fortran_order': False, 'shape': (1,), }"],
  ['a negative dimension', "{'descr': '<f4', 'fortran_order': False, 'shape': (-2,), }"],
  ['no shape', "{'descr': '<f4', 'fortran_order': False}"],
])('a header with %s is refused', async (_, header) => {
  await expect(parseNpy(npyOf(header, new Uint8Array(8)), 'x')).rejects.toThrow(InputError);
});

function npyOf(header: string, elements: Uint8Array): Uint8Array<ArrayBuffer> {
  const prefix = [0x93, 0x4e, 0x55, 0x4d, 0x50, 0x59, 1, 0, header.length % 256, header.length >> 8];
  return Uint8Array.from([...prefix, ...new TextEncoder().encode(header), ...elements]);
}

describe('damaged files give a typed error or a result', () => {
  const damage = fc.array(fc.tuple(fc.double({ min: 0, max: 0.9999, noNaN: true }), fc.integer({ min: 0, max: 255 })), {
    maxLength: 6,
  });
  const files = readdirSync(folder).filter((name) => /\.np[yz]$/.test(name));
  test.each(files)('%s', async (name) => {
    const bytes = new Uint8Array(readFileSync(join(folder, name)));
    const parse = name.endsWith('.npz') ? parseNpz : parseNpy;
    await fc.assert(
      fc.asyncProperty(damage, fc.double({ min: 0, max: 1, noNaN: true }), async (changes, fraction) => {
        const copy = new Uint8Array(
          bytes.subarray(0, fraction > 0.5 ? bytes.length : Math.floor(fraction * 2 * bytes.length)),
        );
        for (const [at, value] of changes) copy[Math.floor(at * copy.length)] = value;
        try {
          await parse(copy, name);
        } catch (error) {
          expect(error).toBeInstanceOf(Dino8Error);
        }
      }),
      { numRuns: 150 },
    );
  });
});
