/** Every reader of files that come from strangers gives a typed error or a result, in bounded time, whatever is in them. */
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import fc from 'fast-check';
import { expect, test } from 'vitest';
import { Dino8Error } from '../src/base/errors.ts';
import { packageRoot } from '../src/base/package-root.ts';
import { parseAnnotations } from '../src/data/datasets/coco-json.ts';
import { decodeImage } from '../src/data/image.ts';
import { parseSafetensors } from '../src/models/checkpoint/safetensors.ts';
import { parseConfig } from '../src/models/grounding-dino/config.ts';
import { createTokenizer } from '../src/models/tokenizer.ts';
import { GraphBuilder } from '../src/onnx/builder.ts';
import { inferShapes } from '../src/onnx/infer/infer.ts';
import { parseModel } from '../src/onnx/read.ts';
import { makeTensor } from '../src/onnx/tensor.ts';
import { DataType } from '../src/onnx/types.ts';
import { modelBytes } from '../src/onnx/write.ts';
import { parseStatistics } from '../src/quant/observe/statistics-file.ts';
import { parseRecipe } from '../src/quant/recipe.ts';
import { parseTrainingState } from '../src/train/training-state.ts';

/** Changes that damage, lie about lengths, or move things. */
const mutation = fc.record({
  kind: fc.constantFrom('set', 'flip', 'truncate', 'insert', 'duplicate', 'ones'),
  at: fc.double({ min: 0, max: 0.999999, noNaN: true }),
  value: fc.integer({ min: 0, max: 255 }),
  length: fc.integer({ min: 1, max: 64 }),
});

function mutate(
  bytes: Uint8Array,
  { kind, at, value, length }: typeof mutation extends fc.Arbitrary<infer T> ? T : never,
): Uint8Array<ArrayBuffer> {
  const place = Math.floor(at * bytes.length);
  const copy = new Uint8Array(bytes);
  switch (kind) {
    case 'set':
      copy[place] = value;
      return copy;
    case 'flip':
      copy[place] = (copy[place] ?? 0) ^ (1 << (value % 8));
      return copy;
    case 'truncate':
      return copy.slice(0, place);
    case 'insert':
      return Uint8Array.from([...copy.slice(0, place), ...new Array(length).fill(value), ...copy.slice(place)]);
    case 'duplicate':
      return Uint8Array.from([...copy.slice(0, place + length), ...copy.slice(place)]);
    default:
      return copy.fill(0xff, place, place + 8);
  }
}

function smallModel(): Uint8Array {
  const b = new GraphBuilder('small');
  const x = b.input('x', DataType.FLOAT, ['n', 4]);
  const weight = b.initializer(
    makeTensor(
      'w',
      [4, 4],
      Float32Array.from({ length: 16 }, (_, index) => index),
    ),
  );
  const y = b.reshape(b.concat([b.matmul(x, weight), b.slice(x, [0], [2], [0])], 0), [-1, 2]);
  b.output('y', b.padEnd(y, b.mod(b.dimension(y, 0), b.integers(3)), [0]));
  return modelBytes(b.finish());
}

function smallSafetensors(): Uint8Array {
  const header = JSON.stringify({
    __metadata__: { format: 'pt' },
    a: { dtype: 'F32', shape: [2, 3], data_offsets: [0, 24] },
    b: { dtype: 'I64', shape: [], data_offsets: [24, 32] },
  });
  return safetensors(header, 32);
}

function safetensors(header: string, bytes: number): Uint8Array {
  const head = new TextEncoder().encode(header);
  const length = new Uint8Array(new BigUint64Array([BigInt(head.length)]).buffer);
  return Uint8Array.from([...length, ...head, ...new Uint8Array(bytes)]);
}

function smallTrainingState(): Uint8Array {
  const header = JSON.stringify({
    __metadata__: { 'dino8.training': JSON.stringify({ step: 3, key: { seed: 1 } }) },
    weights: { dtype: 'F32', shape: [6], data_offsets: [0, 24] },
  });
  return safetensors(header, 24);
}

const asset = (path: string) => new Uint8Array(readFileSync(join(packageRoot, 'assets', path)));
const text = (bytes: Uint8Array) => new TextDecoder().decode(bytes);
const annotations = new TextEncoder().encode(
  JSON.stringify({
    images: [{ id: 1, file_name: 'a.jpg', width: 9, height: 9 }],
    annotations: [{ id: 1, image_id: 1, category_id: 2, bbox: [0, 0, 3, 3], area: 9, iscrowd: 0 }],
    categories: [{ id: 2, name: 'thing' }],
  }),
);
const tokenizer = new TextEncoder().encode(
  JSON.stringify({
    ...JSON.parse(text(asset('nano/tokenizer.json'))),
    model: {
      type: 'WordPiece',
      unk_token: '[UNK]',
      continuing_subword_prefix: '##',
      max_input_chars_per_word: 100,
      vocab: { '[UNK]': 100, a: 1 },
    },
  }),
);

const statistics = new TextEncoder().encode(
  JSON.stringify({
    format: 'dino8-statistics-1',
    model: 'a',
    plan: 'b',
    images: 2,
    shard: { index: 1, count: 2 },
    done: 1,
    skipped: ['x.jpg'],
    values: {
      x: {
        images: 1,
        excluded: 0,
        min: -1,
        max: 2,
        movingMin: -5,
        movingMax: 7,
        histogram: { exponent: -10, first: 2040, counts: [1, 2, 3] },
        channels: { min: 'AAAAAA==', max: 'AAAAAA==', mean: 'AAAAAAAAAAA=' },
        lengths: [{ tokens: 16, images: 1, min: -1, max: 2 }],
      },
    },
  }),
);

/** JSON that no longer parses is refused before a reader sees it: that is readJson's part. */
function json(bytes: Uint8Array): unknown {
  try {
    return JSON.parse(text(bytes));
  } catch {
    return undefined;
  }
}

const readers: Record<string, { valid: Uint8Array; read: (bytes: Uint8Array<ArrayBuffer>) => unknown; runs: number }> =
  {
    ONNX: { valid: smallModel(), read: (bytes) => inferShapes(parseModel(bytes, 'it')), runs: 800 },
    'the state of a training': {
      valid: smallTrainingState(),
      read: (bytes) => parseTrainingState(bytes, 'it'),
      runs: 300,
    },
    safetensors: { valid: smallSafetensors(), read: (bytes) => parseSafetensors(bytes, 'it'), runs: 500 },
    'config.json': { valid: asset('nano/config.json'), read: (bytes) => parseConfig(json(bytes), 'it'), runs: 200 },
    annotations: { valid: annotations, read: (bytes) => parseAnnotations(json(bytes), 'it'), runs: 300 },
    recipe: {
      valid: new Uint8Array(readFileSync(join(packageRoot, 'recipes/static.yaml'))),
      read: (bytes) => parseRecipe(text(bytes), 'it'),
      runs: 300,
    },
    'a statistics file': { valid: statistics, read: (bytes) => parseStatistics(json(bytes), 'it'), runs: 400 },
    tokenizer: {
      valid: tokenizer,
      read: (bytes) => createTokenizer({ tokenizer: json(bytes), config: {} }, 'it').encode('a b'),
      runs: 200,
    },
    JPEG: { valid: asset('shapes/val/000001.jpg'), read: (bytes) => decodeImage(bytes, 'it'), runs: 200 },
  };

test.each(Object.entries(readers))(
  '%s: damaged files cause no crash, hang or unbounded allocation',
  async (_, { valid, read, runs }) => {
    await read(new Uint8Array(valid)); // the file is good before it is damaged
    let refused = 0;
    await fc.assert(
      fc.asyncProperty(fc.array(mutation, { minLength: 1, maxLength: 3 }), async (mutations) => {
        const damaged = mutations.reduce(
          (bytes, each) => (bytes.length > 0 ? mutate(bytes, each) : bytes),
          new Uint8Array(valid),
        );
        try {
          await read(damaged);
        } catch (error) {
          if (!(error instanceof Dino8Error)) throw error;
          expect(error.message).not.toContain('\n');
          refused++;
        }
      }),
      { numRuns: runs },
    );
    expect(refused).toBeGreaterThan(0);
    expect(process.memoryUsage().rss).toBeLessThan(2e9);
  },
);

test('a fault of a tokenizer that would show only when a text is encoded is refused in a sentence', () => {
  const files = JSON.parse(text(tokenizer));
  const withoutTemplate = { ...files, post_processor: { ...files.post_processor, single: null } };
  const open = () => createTokenizer({ tokenizer: withoutTemplate, config: {} }, 'it');
  expect(open).toThrow(/^it: tokenizer\.json is not as expected at post_processor\.single: .+\.$/);
  expect(open).toThrow(Dino8Error);
});
