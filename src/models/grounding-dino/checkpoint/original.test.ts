/** Files of torch.save are read if PyTorch wrote them, and refused if they are damaged or hostile. */
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { gunzipSync } from 'node:zlib';
import fc from 'fast-check';
import { beforeAll, describe, expect, test } from 'vitest';
import { Dino8Error, InputError } from '../../../base/errors.ts';
import { packageRoot } from '../../../base/package-root.ts';
import type { Checkpoint } from '../../checkpoint/checkpoint.ts';
import { readPickle } from '../../checkpoint/pickle.ts';
import { parseTorchFile } from '../../checkpoint/torch-file.ts';
import { readHuggingFace } from './hugging-face.ts';
import { inferConfig } from './infer-config.ts';
import { renameOriginal } from './original-names.ts';

const folder = join(packageRoot, 'test/fixtures/golden/original');
const file = new Uint8Array(gunzipSync(readFileSync(join(folder, 'nano-small-tensors.pth.gz'))));
let original: Checkpoint;
let expected: Awaited<ReturnType<typeof readHuggingFace>>;
beforeAll(async () => {
  original = renameOriginal(await parseTorchFile(file, 'nano.pth'));
  expected = await readHuggingFace(join(packageRoot, 'assets/nano'));
});

test('the file has every tensor of the Hugging Face checkpoint with its name and shape, and small ones with the same bits', () => {
  let compared = 0;
  for (const [name, tensor] of expected.tensors) {
    // Only Hugging Face saves Swin's classifier, which GroundingDINO does not use.
    if (name.startsWith('model.backbone.conv_encoder.model.swin.layernorm.')) continue;
    const found = original.get(name);
    expect(found?.shape, name).toEqual(tensor.shape);
    expect(found?.type, name).toBe(tensor.type);
    // Also the parts of fused biases: their order decides which is query, key and value.
    if (tensor.bytes.length > 600) continue;
    expect(Buffer.compare(found?.bytes ?? Buffer.alloc(0), tensor.bytes), name).toBe(0);
    compared++;
  }
  expect(compared).toBeGreaterThan(200);
});

test('tensors are views of the file', () => {
  for (const { bytes } of original.values()) expect(bytes.buffer).toBe(file.buffer);
});

test('the configuration follows from the tensors, except for settings that their shapes do not show', () => {
  const { config } = expected;
  // BERT's heads are taken to be of 64 channels, as in every published model; this one's are smaller.
  const heads = config.text_config.hidden_size / 64;
  const text_config = { ...config.text_config, num_attention_heads: heads };
  const { transformers_version: _, ...published } = { ...config, text_config, whole_text_positions: false };
  expect(inferConfig(original, 'nano.pth')).toEqual(published);
});

test('a file of another model is refused, and the error names a tensor that it lacks', () => {
  expect(() => inferConfig(new Map(), 'other.pth')).toThrow(/lacks model\.level_embed/);
});

/** A pickle from opcodes and text. */
const pickle = (...parts: (number | string)[]) =>
  Uint8Array.from(parts.flatMap((part) => (typeof part === 'number' ? [part] : [...new TextEncoder().encode(part)])));
const GLOBAL = 'c';
const STOP = '.';

describe('hostile pickles', () => {
  const allowed = new Set(['collections.OrderedDict']);

  test.each([
    [
      'a global that runs a command',
      pickle(0x80, 2, GLOBAL, 'os\nsystem\n', '(', 'X', 2, 0, 0, 0, 'ls', 't', 'R', STOP),
      /the global os\.system/,
    ],
    ['a hidden global', pickle(0x80, 4, 0x8c, 8, 'builtins', 0x8c, 4, 'eval', 0x93, STOP), /the global builtins\.eval/],
    ['an instance', pickle(0x80, 2, 'i', 'os\nsystem\n', STOP), /the opcode 0x69/],
    ['no end', pickle(0x80, 2, '}'), /an end in the middle/],
    ['a length beyond the end', pickle(0x80, 2, 'X', 0xff, 0xff, 0xff, 0x7f, 'a', STOP), /an end in the middle/],
    ['an empty stack', pickle(0x80, 2, 'R', STOP), /an empty stack/],
    ['a reference to nothing', pickle(0x80, 2, 'h', 7, STOP), /a reference to nothing/],
    ['a call of data', pickle(0x80, 2, '}', ')', 'R', STOP), /a call of something/],
    ['a far future protocol', pickle(0x80, 99, STOP), /protocol 99/],
  ])('%s is refused, and nothing runs', (_, bytes, message) => {
    expect(() => readPickle(bytes, allowed, 'evil.pth')).toThrow(InputError);
    expect(() => readPickle(bytes, allowed, 'evil.pth')).toThrow(message);
  });
});

test('truncated and damaged archives are refused in one sentence', async () => {
  await expect(parseTorchFile(file.slice(0, 100_000), 'short.pth')).rejects.toThrow(
    /short\.pth is not a readable file of torch\.save/,
  );
  await expect(parseTorchFile(new Uint8Array(50), 'noise.pth')).rejects.toThrow(InputError);
});

test('a compressed archive is refused, because it may grow beyond bounds', async () => {
  // The compression method of the first entry in the central directory becomes "deflated".
  const bomb = file.slice();
  const directory = Buffer.from(bomb.buffer).indexOf(Buffer.from([0x50, 0x4b, 1, 2]));
  bomb[directory + 10] = 8;
  await expect(parseTorchFile(bomb, 'bomb.pth')).rejects.toThrow(/is compressed/);
});

test('no mutation crashes the reader', async () => {
  // Only the pickle and the directory can be false: the storages are only bytes.
  const place = fc.oneof(
    fc.integer({ min: 0, max: 60_000 }),
    fc.integer({ min: file.length - 40_000, max: file.length - 1 }),
  );
  await fc.assert(
    fc.asyncProperty(
      fc.array(fc.tuple(place, fc.integer({ min: 0, max: 255 })), { minLength: 1, maxLength: 4 }),
      async (changes) => {
        const damaged = file.slice();
        for (const [at, value] of changes) damaged[at] = value;
        try {
          renameOriginal(await parseTorchFile(damaged, 'it'));
        } catch (error) {
          if (!(error instanceof Dino8Error)) throw error;
        }
      },
    ),
    { numRuns: 150 },
  );
});
