/** Peak memory of dino8's own processes: no step keeps more copies of the weights than it says, or images it is done with. */
import { execFile } from 'node:child_process';
import { copyFile, mkdir, mkdtemp, rm, truncate, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { promisify } from 'node:util';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { readText } from '../src/base/files.ts';
import { packageRoot } from '../src/base/package-root.ts';
import { readHuggingFace } from '../src/models/grounding-dino/checkpoint/hugging-face.ts';
import { parseConfig } from '../src/models/grounding-dino/config.ts';
import { buildModel } from '../src/models/grounding-dino/grounding-dino.ts';
import { writeSmallCheckpoint } from '../src/models/grounding-dino/testing/small-checkpoint.ts';
import { MisfitError } from '../src/models/grounding-dino/weights.ts';
import { elementCount } from '../src/onnx/types.ts';

const nano = join(packageRoot, 'assets/nano');
const validation = join(packageRoot, 'assets/shapes/val');
const calibration = join(packageRoot, 'assets/shapes/calib');
let folder: string;
const at = (...parts: string[]) => join(folder, ...parts);

/**
 * Collects garbage in the process at every eighth image that is opened, so that its peak does not depend on when V8 would
 * have done so, and prints the peak at its end.
 */
const SCRIPT = `
  import fs from 'node:fs';
  import { syncBuiltinESMExports } from 'node:module';
  const { open } = fs.promises;
  let images = 0;
  fs.promises.open = (path, ...rest) => {
    if (String(path).endsWith('.jpg') && ++images % 8 === 0) globalThis.gc();
    return open(path, ...rest);
  };
  syncBuiltinESMExports();
  process.on('exit', () => console.error('peak', process.resourceUsage().maxRSS));`;

/** Runs the command line and returns the peak resident size of its process in bytes. */
async function peakOf(...args: string[]): Promise<number> {
  const preload = `data:text/javascript,${encodeURIComponent(SCRIPT)}`;
  const command = ['--expose-gc', '--import', preload, join(packageRoot, 'dist/cli.mjs'), ...args];
  const { stderr } = await promisify(execFile)(process.execPath, command);
  return Number(/peak (\d+)/.exec(stderr)?.[1]) * 1024;
}

/** The shapes that a configuration asks for. The builder refuses the bundled checkpoint, and says which tensors do not fit. */
async function shapesOf(config: unknown): Promise<Map<string, number[]>> {
  const { tensors } = await readHuggingFace(nano);
  const shapes = new Map([...tensors].map(([name, { shape }]) => [name, [...shape]]));
  const misfit: unknown = await buildModel({ tensors, config: parseConfig(config, 'test') }).catch((error) => error);
  if (!(misfit instanceof MisfitError)) throw misfit;
  for (const [name, shape] of misfit.wanted) shapes.set(name, [...shape]);
  return shapes;
}

beforeAll(async () => {
  folder = await mkdtemp(join(tmpdir(), 'dino8-memory-'));
});
afterAll(() => rm(folder, { recursive: true, force: true }));

describe('a checkpoint of the published size', () => {
  let bytes: number;

  beforeAll(async () => {
    const config = JSON.parse(await readText(join(nano, 'config.json'), 1 << 20));
    // The published widths; fewer layers than published, so wider ones in the feed-forward parts make up the size.
    Object.assign(config, { d_model: 256, encoder_ffn_dim: 16_384, decoder_ffn_dim: 16_384 });
    Object.assign(config.backbone_config, { embed_dim: 96, hidden_size: 768, num_heads: [3, 6, 12, 24] });
    Object.assign(config.text_config, { hidden_size: 768, intermediate_size: 12_288, num_attention_heads: 12 });
    config.text_config.vocab_size = 30_522;
    bytes = await writeZeros(at('checkpoint'), config);
    for (const name of ['tokenizer.json', 'tokenizer_config.json', 'preprocessor_config.json'])
      await copyFile(join(nano, name), at('checkpoint', name));
    expect(bytes).toBeGreaterThan(600e6);
  });

  test('is converted and quantized in less than 2.5 times its size', async () => {
    expect(await peakOf('convert', at('checkpoint'), '-o', at('fp32.onnx'))).toBeLessThan(2.5 * bytes);
    expect(await peakOf('quantize', at('fp32.onnx'), '--recipe', 'dynamic', '-o', at('int8.onnx'))).toBeLessThan(
      2.5 * bytes,
    );
  });

  test('takes less memory in INT8 than in FP32, by at least 60 % of the size of its weights', async () => {
    const run = (model: string) =>
      peakOf('measure', at(model), join(validation, '000082.jpg'), '--phrases', 'star', '--runs', '1');
    const [float, integer] = [await run('fp32.onnx'), await run('int8.onnx')];
    expect(float - integer).toBeGreaterThan(0.6 * bytes);
  });
});

test('calibration of ten times as many images takes the same memory, because it holds one image at a time', async () => {
  // The memory of an image depends on its size alone, so few layers are enough.
  const checkpoint = await writeSmallCheckpoint(at('small'), { height: 192, width: 256 });
  const observe = (images: number) =>
    peakOf('calibrate', checkpoint, calibration, '--images', String(images), '-o', at(`${images}.json`));
  const [few, many] = [await observe(16), await observe(160)];
  // Half of the memory that the further images would take if each were kept as the model's input of floats.
  const kept = (160 - 16) * 3 * 192 * 256 * Float32Array.BYTES_PER_ELEMENT;
  expect(many - few).toBeLessThan(kept / 2);
});

/** Writes a checkpoint whose weights are all zero, as a header and a hole in the file, and returns its size in bytes. */
async function writeZeros(path: string, config: unknown): Promise<number> {
  let end = 0;
  const header: Record<string, unknown> = {};
  for (const [name, shape] of await shapesOf(config)) {
    const start = end;
    end += elementCount(shape) * 4;
    header[name] = { dtype: 'F32', shape, data_offsets: [start, end] };
  }
  const text = Buffer.from(JSON.stringify(header));
  const length = Buffer.alloc(8);
  length.writeBigUInt64LE(BigInt(text.length));
  await mkdir(path);
  await writeFile(join(path, 'config.json'), JSON.stringify(config));
  const weights = join(path, 'model.safetensors');
  await writeFile(weights, Buffer.concat([length, text]));
  await truncate(weights, 8 + text.length + end);
  return 8 + text.length + end;
}
