/** Checkpoints of other programs become what transformers' own conversions make of them: every tensor, and the outputs. */
import { createHash } from 'node:crypto';
import { mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { gunzipSync } from 'node:zlib';
import { afterAll, describe, expect, test } from 'vitest';
import { packageRoot } from '../../../base/package-root.ts';
import { modelBytes } from '../../../onnx/write.ts';
import { Session } from '../../../runtime/session.ts';
import { floatData, floats, integers } from '../../../runtime/tensor.ts';
import { buildModel } from '../grounding-dino.ts';
import { readCheckpointFile } from './checkpoint-file.ts';

/** What transformers made of a checkpoint. bench/peers/make_converter_golden.py describes the file. */
interface Converted {
  readonly config: object;
  /** The shape and the digest of each tensor. */
  readonly tensors: Readonly<Record<string, readonly [shape: readonly number[], digest: string]>>;
  /** [queries, tokens]. */
  readonly logits: readonly number[];
  /** [queries, 4]. */
  readonly boxes: readonly number[];
}

const fixtures = join(packageRoot, 'test/fixtures/checkpoints/converted');
const golden: { table: number[]; ids: number[]; checkpoints: Record<string, Converted> } = JSON.parse(
  readFileSync(join(fixtures, 'converted.json'), 'utf8'),
);
const folder = mkdtempSync(join(tmpdir(), 'dino8-converters-'));
afterAll(() => rmSync(folder, { recursive: true }));

const [HEIGHT, WIDTH] = [64, 96];
const { table, ids } = golden;
const pixels = Float32Array.from(
  { length: 3 * HEIGHT * WIDTH },
  (_, index) => table[(index + 11) % table.length] ?? Number.NaN,
);

describe.each(Object.entries(golden.checkpoints))('%s', (name, converted) => {
  const file = join(folder, name, 'checkpoint.pth');
  mkdirSync(join(folder, name));
  writeFileSync(file, gunzipSync(readFileSync(join(fixtures, `${name}.pth.gz`))));
  writeFileSync(join(folder, name, 'config.json'), JSON.stringify(converted.config));

  test('has every tensor of the conversion, and no other', async () => {
    const { tensors } = await readCheckpointFile(file);
    const digest = (bytes: Uint8Array) => createHash('sha256').update(bytes).digest('hex').slice(0, 24);
    const found = Object.fromEntries([...tensors].map(([key, { shape, bytes }]) => [key, [shape, digest(bytes)]]));
    expect(found).toEqual(converted.tensors);
  });

  test('computes what transformers computes with the conversion', async () => {
    const model = await buildModel(await readCheckpointFile(file));
    await using session = await Session.create(modelBytes(model), { threads: 1 });
    const ones = (count: number) => new BigInt64Array(count).fill(1n);
    using outputs = await session.run({
      pixel_values: floats(pixels, [1, 3, HEIGHT, WIDTH]),
      pixel_mask: integers(ones(HEIGHT * WIDTH), [1, HEIGHT, WIDTH]),
      input_ids: integers(ids, [1, ids.length]),
      token_type_ids: integers(new BigInt64Array(ids.length), [1, ids.length]),
      attention_mask: integers(ones(ids.length), [1, ids.length]),
    });
    const logits = outputs.get('logits');
    const width = logits.shape[2] ?? 0;
    const ofTokens = floatData(logits).filter((_, index) => index % width < ids.length);
    for (const [actual, wanted, tolerance] of [
      [ofTokens, converted.logits, 1e-4],
      [floatData(outputs.get('pred_boxes')), converted.boxes, 1e-5],
    ] as const) {
      expect(actual.length).toBe(wanted.length);
      for (const [index, value] of wanted.entries())
        expect(Math.abs(value - (actual[index] ?? Number.NaN))).toBeLessThan(tolerance);
    }
  });
});
