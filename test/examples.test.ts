/** Every program in `examples/` runs, on small data, and does what it says. */
import { spawn } from 'node:child_process';
import { mkdir, mkdtemp, readdir, readFile, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, expect, onTestFinished, test } from 'vitest';
import { packageRoot } from '../src/base/package-root.ts';
import { bundledCalibration, bundledModel, bundledValidation } from '../src/data/bundled.ts';
import { writeSafetensors } from '../src/models/checkpoint/write-safetensors.ts';
import { writeSmallCheckpoint } from '../src/models/grounding-dino/testing/small-checkpoint.ts';
import { GraphBuilder } from '../src/onnx/builder.ts';
import { bytesOf, makeTensor } from '../src/onnx/tensor.ts';
import { DataType } from '../src/onnx/types.ts';
import { writeModel } from '../src/onnx/write.ts';
import { noise } from '../src/testing/noise.ts';
import { run } from './run-cli.ts';

const examples = join(packageRoot, 'examples');

let folder: string;
beforeAll(async () => {
  folder = await mkdtemp(join(tmpdir(), 'dino8-examples-'));
});
afterAll(() => rm(folder, { recursive: true, force: true }));

/** Runs an example with arguments and returns what it printed. @throws Error if it failed */
async function runExample(name: string, ...args: string[]): Promise<string> {
  const { code, stdout, stderr } = await run(args, process.execPath, [join(examples, name)]);
  expect({ code, stderr }).toEqual({ code: 0, stderr: expect.any(String) });
  return stdout;
}

test('every example is listed in the README of the folder', async () => {
  const readme = await readFile(join(examples, 'README.md'), 'utf8');
  for (const name of await readdir(examples)) if (name.endsWith('.mjs')) expect(readme).toContain(`(${name})`);
});

test('quantize.mjs writes a smaller model whose average precision is near that of FP32', async () => {
  const printed = await runExample(
    'quantize.mjs',
    bundledModel(),
    bundledCalibration(),
    bundledValidation(),
    join(folder, 'quantized'),
    '8',
  );
  const [, before = Number.NaN, after = Number.NaN] = (printed.match(/from (\d+) to (\d+) bytes/) ?? []).map(Number);
  expect(after).toBeLessThan(0.6 * before);
  const [float = Number.NaN, int8 = Number.NaN] = [...printed.matchAll(/: ([\d.]+) AP/g)].map(([, ap]) => Number(ap));
  expect(float).toBeGreaterThan(40);
  expect(Math.abs(int8 - float)).toBeLessThan(5);
});

test('train-with-rounding.mjs trains and writes an INT8 model', async () => {
  const output = join(folder, 'trained.onnx');
  const checkpoint = await writeSmallCheckpoint(join(folder, 'small'));
  const printed = await runExample('train-with-rounding.mjs', checkpoint, bundledCalibration(), output, '2');
  expect(printed.match(/step \d: loss \d/g)).toHaveLength(2);
  expect(printed).toContain(`${output} was trained`);
});

test('detection-server.mjs finds the objects of an image, and refuses a body that is no image', async () => {
  const server = spawn(process.execPath, [join(examples, 'detection-server.mjs'), bundledModel(), '0']);
  onTestFinished(() => void server.kill());
  const port = await new Promise<string>((resolve, reject) => {
    server.stdout.on('data', (text) => /port (\d+)/.test(`${text}`) && resolve(`${text}`.replace(/\D/g, '')));
    server.on('exit', (code) => reject(new Error(`the server ended with ${code}`)));
  });
  const annotations = JSON.parse(
    await readFile(join(bundledValidation(), '..', 'annotations', 'instances_val.json'), 'utf8'),
  );
  const [image] = annotations.images;
  const phrases = annotations.categories.map(({ name }: { name: string }) => name).join(',');
  const ask = async (query: string, body: Uint8Array<ArrayBuffer> | string) => {
    const response = await fetch(`http://localhost:${port}/detect?${query}`, { method: 'POST', body });
    return { status: response.status, body: JSON.parse(await response.text()) };
  };
  const bytes = new Uint8Array(await readFile(join(bundledValidation(), image.file_name)));
  const query = new URLSearchParams({ phrases, threshold: '0.3' }).toString();
  const found = await ask(query, bytes);
  expect(found.status).toBe(200);
  const labels = annotations.annotations
    .filter(({ image_id }: { image_id: number }) => image_id === image.id)
    .map(
      ({ category_id }: { category_id: number }) =>
        annotations.categories.find(({ id }: { id: number }) => id === category_id).name,
    );
  expect(labels).toContain(found.body[0]?.label);
  expect(await ask(query, 'no image')).toMatchObject({ status: 400, body: { error: expect.any(String) } });
  expect(await ask('phrases=', bytes)).toMatchObject({ status: 400, body: { error: expect.any(String) } });
});

test('quantize-any-onnx.mjs quantizes a model of two layers, and lists the operators that stay float', async () => {
  const b = new GraphBuilder('layers');
  const weight = (name: string) => b.initializer(makeTensor(name, [32, 32], noise(32 * 32, name.length)));
  const [hidden = b.scalar(0)] = b.call('', 'Tanh', [b.matmul(b.input('x', DataType.FLOAT, [8, 32]), weight('first'))]);
  b.output('y', b.matmul(hidden, weight('second')));
  const paths = {
    model: join(folder, 'layers.onnx'),
    samples: join(folder, 'samples'),
    output: join(folder, 'int8.onnx'),
  };
  await writeModel(b.finish(), paths.model);
  await mkdir(paths.samples);
  for (const seed of [1, 2, 3])
    await writeSafetensors(
      new Map([['x', { type: DataType.FLOAT, shape: [8, 32], bytes: bytesOf(noise(8 * 32, seed)) }]]),
      join(paths.samples, `${seed}.safetensors`),
    );
  const printed = await runExample('quantize-any-onnx.mjs', paths.model, paths.samples, paths.output);
  expect(printed).toContain('2 layers in INT8');
  expect(printed).toMatch(/stay float:.*Tanh/s);
  expect(Number(printed.match(/error of the outputs: ([\d.]+)/)?.[1])).toBeLessThan(0.1);
});

test('add-operator.mjs prints gradients that agree with differences', async () => {
  expect((await runExample('add-operator.mjs')).trim().split('\n')).toHaveLength(4);
});
