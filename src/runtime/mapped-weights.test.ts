/** Weights that ONNX Runtime maps from the model's file: the results are those of a copy, and broken files are refused. */
import { readFileSync } from 'node:fs';
import { mkdtemp, symlink, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { expect, test } from 'vitest';
import { GraphBuilder } from '../onnx/builder.ts';
import { parseModel } from '../onnx/read.ts';
import { DataType } from '../onnx/types.ts';
import { modelBytes, writeModel } from '../onnx/write.ts';
import { noise } from '../testing/noise.ts';
import { RuntimeError } from './error.ts';
import { mapWeights } from './mapped-weights.ts';
import { Session } from './session.ts';
import { floatData, floats } from './tensor.ts';

const WIDTH = 96;
const feeds = { x: floats(noise(WIDTH, 1), [1, WIDTH]) };

/** A product with a table that is large enough to be mapped, and a sum with a small one. */
function product() {
  const b = new GraphBuilder('product');
  const table = b.constant(noise(WIDTH * WIDTH, 2), [WIDTH, WIDTH]);
  const shift = b.constant(noise(WIDTH, 3), [WIDTH]);
  b.output('y', b.add(b.matmul(b.input('x', DataType.FLOAT, [1, WIDTH]), table), shift));
  return b.finish();
}

const folder = mkdtemp(join(tmpdir(), 'dino8-mapped-'));

async function results(model: string | Uint8Array): Promise<Float32Array> {
  await using session = await Session.create(model);
  using outputs = await session.run(feeds);
  return floatData(outputs.get('y')).slice();
}

test('weights of a file, and of a link to it, are mapped, and the results are those of its bytes', async () => {
  const bytes = modelBytes(product());
  const file = join(await folder, 'model.onnx');
  const link = join(await mkdtemp(join(tmpdir(), 'dino8-link-')), 'link.onnx');
  await writeFile(file, bytes);
  await symlink(file, link);
  const expected = await results(bytes);
  expect(await results(file)).toEqual(expected);
  expect(await results(link)).toEqual(expected);
  // Prepacking copies the table and gives the mapping up.
  await using _ = await Session.create(link, { config: { 'session.disable_prepacking': '1' } });
  if (process.platform === 'linux') expect(readFileSync('/proc/self/maps', 'utf8')).toContain(file);
});

test('the encoding with references is the model without its large weights', async () => {
  const model = product();
  model.metadataProps.push({ $typeName: 'onnx.StringStringEntryProto', key: 'key', value: 'value' });
  const bytes = modelBytes(model);
  const file = join(await folder, 'metadata.onnx');
  await writeFile(file, bytes);
  const mapped = mapWeights(file);
  const read = parseModel(mapped?.bytes ?? new Uint8Array(), 'the encoding');
  expect(mapped?.bytes.length).toBeLessThan(1024);
  expect({ ...read, graph: { ...read.graph, initializer: [] } }).toEqual({
    ...parseModel(bytes, 'the model'),
    graph: { ...parseModel(bytes, 'the model').graph, initializer: [] },
  });
  for (const { externalData } of read.graph.initializer.filter(({ rawData }) => rawData.length === 0)) {
    const { offset, length } = Object.fromEntries(externalData.map(({ key, value }) => [key, Number(value)]));
    const data = bytes.subarray(offset, (offset ?? 0) + (length ?? 0));
    expect(model.graph.initializer.map(({ rawData }) => Buffer.from(rawData))).toContainEqual(Buffer.from(data));
  }
});

test('external data, models without large weights, and files that are cut off are left to ONNX Runtime', async () => {
  const external = join(await folder, 'external.onnx');
  await writeModel(product(), external, { externalData: true });
  expect(mapWeights(external)).toBeUndefined();
  expect(await results(external)).toEqual(await results(modelBytes(product())));

  const small = new GraphBuilder('sum');
  small.output('y', small.add(small.input('x', DataType.FLOAT, [1, WIDTH]), 1));
  const smallFile = join(await folder, 'small.onnx');
  await writeModel(small.finish(), smallFile);
  expect(mapWeights(smallFile)).toBeUndefined();

  const bytes = modelBytes(product());
  const cut = join(await folder, 'cut.onnx');
  for (const length of [0, 1, 7, 20, 200, 4096, bytes.length - 2000, bytes.length - 1]) {
    await writeFile(cut, bytes.subarray(0, length));
    expect(mapWeights(cut)).toBeUndefined();
  }
  await expect(Session.create(cut)).rejects.toThrow(RuntimeError);
});

test('a file with any byte changed loads, or is refused with one sentence', async () => {
  const bytes = modelBytes(product());
  const file = join(await folder, 'changed.onnx');
  // Bytes of the table itself may have any value; the encoding is around it.
  const ends = Array.from({ length: 60 }, (_, index) => [2 * index, bytes.length - 1 - 2 * index]);
  const places = ends.flat();
  for (const place of places) {
    const changed = bytes.slice();
    changed[place] = (changed[place] ?? 0) ^ 0xff;
    await writeFile(file, changed);
    const failure = await results(file).catch((error: unknown) => error);
    if (!(failure instanceof Float32Array)) expect(String(failure)).toMatch(/^RuntimeError: .*[^\n]*$/);
  }
});
