/** The scripts of a bundle with a text encoder read new phrases as transformers does, and find what dino8 finds. */
import { execFile } from 'node:child_process';
import { mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { promisify } from 'node:util';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { packageRoot } from '../src/base/package-root.ts';
import { encodeImage } from '../src/data/encode-image.ts';
import { readImage } from '../src/data/image.ts';
import { sizesOf } from '../src/models/family.ts';
import { writeSmallCheckpoint } from '../src/models/grounding-dino/testing/small-checkpoint.ts';
import { readPackage } from '../src/models/package/package.ts';
import { specialize } from '../src/models/specialize.ts';
import { createTokenizer } from '../src/models/tokenizer.ts';
import { wordPieceRules } from '../src/models/word-piece-rules.ts';
import { readModel } from '../src/onnx/read.ts';
import { stretchedTo } from '../src/pipeline/bundles/bundle-models.ts';
import { detect } from '../src/pipeline/detect-step.ts';
import { lint } from '../src/pipeline/lint-step.ts';
import { exportOpenVino } from '../src/pipeline/openvino/export-openvino.ts';
import { exportTensorRt } from '../src/pipeline/tensorrt/export-tensorrt.ts';

const run = promisify(execFile);
const python = process.env.PYTHON ?? 'python3';
const has = (modules: string) =>
  run(python, ['-c', `import ${modules}`]).then(
    () => true,
    () => false,
  );
const [hasPython, hasNumpy, hasTokenizers, hasOnnxRuntime, hasOpenVino] = [
  await has('json'),
  await has('numpy'),
  await has('tokenizers'),
  await has('numpy, PIL, onnxruntime'),
  await has('numpy, PIL, openvino'),
];

const readJson = (path: string) => JSON.parse(readFileSync(path, 'utf8'));
const fixture = (name: string) => readJson(join(packageRoot, 'test/fixtures', name));
const scripts = join(packageRoot, 'bundles/text');
const nano = join(packageRoot, 'assets/nano');
const folder = mkdtempSync(join(tmpdir(), 'dino8-bundle-phrases-'));
afterAll(() => rmSync(folder, { recursive: true }));

/** What a script in Python prints as JSON. `paths` are where it finds modules. */
async function inPython(script: string, paths: readonly string[], ...args: string[]) {
  const start = `import json, sys; sys.path[:0] = json.loads(sys.argv[1])\n`;
  const { stdout } = await run(python, ['-c', start + script, JSON.stringify(paths), ...args], { maxBuffer: 1 << 26 });
  return JSON.parse(stdout);
}

const files = { tokenizer: fixture('tokenizer/tokenizer.json'), config: {} };
/** What transformers 5.18 makes of odd phrases in small letters. */
const expected: { text: string; ids: number[] }[] = fixture('tokenizer/phrases.json');

test('the tokenizer of dino8 reads odd phrases as transformers does', () => {
  const tokenizer = createTokenizer(files, 'test');
  // What U+1734 is has changed from one version of Unicode to the next, so the two libraries differ in it.
  for (const { text, ids } of expected.filter((each) => !each.text.includes('\u1734')))
    expect([text, tokenizer.encode(text.toLowerCase())]).toEqual([text, ids]);
});

describe.skipIf(!hasPython)('tokenizer.py', () => {
  const rules = join(folder, 'rules.json');
  beforeAll(() => writeFileSync(rules, JSON.stringify(wordPieceRules(files, 'test'))));
  const OPEN = `
from tokenizer import Tokenizer
read = lambda path: json.load(open(path, encoding="utf-8"))
tokenizer = Tokenizer(read(sys.argv[2]), read(sys.argv[3]))
`;
  const characters = join(scripts, 'characters.json');

  test('reads odd phrases as transformers does', async () => {
    const script = `${OPEN}print(json.dumps([tokenizer.ids(each["text"].lower()) for each in read(sys.argv[4])]))`;
    const phrases = join(packageRoot, 'test/fixtures/tokenizer/phrases.json');
    const found = await inPython(script, [scripts], rules, characters, phrases);
    expect(found).toEqual(expected.map(({ ids }) => ids));
  });

  test.skipIf(!hasTokenizers)('does with every character what the tokenizers library does', async () => {
    const script = `${OPEN}
from tokenizers import Tokenizer as Other
other = Other.from_file(sys.argv[4])
codes = [code for code in range(0x30000) if not 0xD800 <= code <= 0xDFFF and (code < 0x3000 or code % 7 == 0)]
texts = [f"a{chr(code)}b {chr(code)}".lower() for code in codes]
others = other.encode_batch(texts, add_special_tokens=False)
print(json.dumps([text for text, each in zip(texts, others) if tokenizer.ids(text) != each.ids]))`;
    const json = join(packageRoot, 'test/fixtures/tokenizer/tokenizer.json');
    expect(await inPython(script, [scripts], rules, characters, json)).toEqual([]);
  });
});

test.each<[string, object, RegExp]>([
  [
    'an added token that phrases can have',
    { added_tokens: [{ id: 7, content: 'forklift', special: true, normalized: false }] },
    /^m\.onnx: tokenizer\.json has the added token "forklift".*fixed phrases\.$/,
  ],
  [
    'an unknown token that is not there',
    { model: { ...files.tokenizer.model, unk_token: '[NEW]' } },
    /^m\.onnx: tokenizer\.json names "\[NEW\]" as the token of unknown words.*\.$/,
  ],
])('a tokenizer with %s is refused', (_, change, message) => {
  expect(() => wordPieceRules({ ...files, tokenizer: { ...files.tokenizer, ...change } }, 'm.onnx')).toThrow(message);
});

const PHRASES = ['red circle', 'blue square'];
const SIZE = { height: 192, width: 256 };
const TOKENS = 12;
const bundle = join(folder, 'openvino');
const picture = join(folder, 'picture.png');

describe('a bundle with a text encoder', () => {
  beforeAll(async () => {
    const photo = await readImage(join(packageRoot, 'assets/shapes/val/000082.jpg'));
    writeFileSync(picture, await encodeImage(photo, 'png'));
    const asked = { model: nano, sizes: [SIZE], phrases: PHRASES, tokens: TOKENS, picture, threads: 1 };
    const made = await exportOpenVino({ ...asked, output: bundle });
    expect(made.engines.map(({ name }) => name)).toEqual(['192x256', 'text']);
  });

  test('has two models that OpenVINO takes by its tables, and no other of their inputs', async () => {
    for (const [name, inputs] of [
      ['model.text.onnx', ['input_ids', 'position_ids', 'text_self_attention_mask']],
      ['model.onnx', ['pixel_values', 'text_features', 'position_ids', 'text_self_attention_mask', 'text_token_mask']],
    ] as const) {
      const path = join(bundle, name);
      expect((await lint({ model: path, target: 'openvino' })).findings).toEqual([]);
      const { graph, functions } = await readModel(path);
      expect([graph.input.map((each) => each.name), functions.length]).toEqual([inputs, 0]);
    }
    expect(readFileSync(join(bundle, 'README.md'), 'utf8')).toMatch(/--phrase "red hat"/);
  });

  const masksOf = { ids: 0, mask: 0, positions: 0, phrases: 0 };
  const prompts: (typeof masksOf)[] = Object.values(fixture('phrases/prompts.json')).filter(Array.isArray).flat();

  test.skipIf(!hasNumpy)('makes the prompts and masks of transformers', async () => {
    const script = `
import detection, prompt
from tokenizer import Tokenizer
prompt.TEXT["length"] = 64
tokenizer = Tokenizer(detection.read_json("vocabulary.json"), detection.read_json("characters.json"))
made = []
for each in json.load(open(sys.argv[2], encoding="utf-8")):
    (chunk,) = prompt.chunks(each["phrases"], tokenizer)
    positions, sees = prompt.masks(chunk["tokens"])
    made.append({"phrases": [span["label"] for span in chunk["phrases"]], "ids": chunk["tokens"], "mask": sees.astype(int).tolist(), "positions": positions.tolist()})
print(json.dumps(made))`;
    const path = join(folder, 'prompts.json');
    writeFileSync(path, JSON.stringify(prompts));
    expect(await inPython(script, [bundle], path)).toEqual(prompts);
  });

  /** What dino8 finds in the picture at the size of the bundle, with prompts of its length. */
  const inDino8 = async (phrases: string[]) => {
    const source = await readPackage(nano);
    const model = await specialize(source.model, { batch: 1, textLength: TOKENS }, sizesOf(source));
    const special = { ...source, model, preprocessing: stretchedTo(SIZE, source) };
    const [found] = await detect({ model: special, phrases, images: [picture], threshold: 0.2, threads: 1 });
    return found?.detections ?? [];
  };
  type Found = { label: string; score: number; box: number[] };
  const same = (found: Found[], wanted: Awaited<ReturnType<typeof inDino8>>) => {
    expect(found.map(({ label }) => label)).toEqual(wanted.map(({ label }) => label));
    for (const [at, { score, box }] of wanted.entries()) {
      expect(Math.abs((found[at]?.score ?? 9) - score)).toBeLessThan(1e-4);
      for (const [side, value] of box.entries())
        expect(Math.abs((found[at]?.box[side] ?? -99) - value)).toBeLessThan(0.05);
    }
  };
  // More phrases than one prompt of this length takes.
  const OTHERS = ['white star', 'orange ring', 'Red CIRCLE', 'green triangle', 'purple hexagon'];

  test.skipIf(!hasOpenVino)('finds other phrases in OpenVINO, in as many prompts as they need', async () => {
    const { stdout } = await run(python, [join(bundle, 'compare.py'), '--precision', 'f32']);
    expect(stdout).toMatch(/^(\d+) of the \1 boxes/);
    const args = ['--precision', 'f32', '--threshold', '0.2', ...OTHERS.flatMap((each) => ['--phrase', each])];
    const ran = await run(python, [join(bundle, 'run.py'), ...args, picture]);
    const wanted = await inDino8(OTHERS);
    expect(wanted.length).toBeGreaterThan(2);
    same(JSON.parse(ran.stdout).detections, wanted);
  });

  test.skipIf(!hasOpenVino)('says in a sentence what is wrong with a phrase', async () => {
    for (const [phrase, message] of [
      ['...', /^The phrase "\.\.\." has no words; name what to find, as in "red circle"\.\n$/],
      ['red '.repeat(20), /^The phrase ".*" has 20 tokens; at most 9 fit\.\n$/],
    ] as const) {
      const failed = await run(python, [join(bundle, 'run.py'), '--phrase', phrase, picture]).catch((error) => error);
      expect([failed.code, failed.stdout, failed.stderr]).toEqual([1, '', expect.stringMatching(message)]);
    }
  });

  test.skipIf(!hasOnnxRuntime)(
    'is the same for TensorRT, with an engine for the text and without a program in C++',
    async () => {
      const output = join(folder, 'tensorrt');
      const model = await writeSmallCheckpoint(join(folder, 'small'));
      const asked = { model, sizes: [96], phrases: PHRASES, tokens: TOKENS, picture, threads: 1 };
      await exportTensorRt({ ...asked, output, tensorrt: '10.3' });
      const names = readdirSync(output);
      expect(names).toEqual(
        expect.arrayContaining(['model.text.onnx', 'tokenizer.py', 'prompt.py', 'vocabulary.json']),
      );
      for (const name of ['detect.cpp', 'detect.txt', 'CMakeLists.txt']) expect(names).not.toContain(name);
      expect(readFileSync(join(output, 'engines.txt'), 'utf8')).toMatch(/^engine text model\.text\.onnx - - -$/m);
      expect((await run(python, [join(output, 'compare.py'), '--onnx'])).stdout).toMatch(/^\d+ of the \d+ boxes/);
    },
  );
});

test.each<[string, object, RegExp]>([
  ['no phrases', { phrases: undefined }, /needs phrases to be checked by/],
  ['too few tokens', { tokens: 3 }, /A prompt of 3 `tokens` is not possible; give a number from 4 to 256\./],
  ['too many tokens', { tokens: 257 }, /A prompt of 257 `tokens` is not possible/],
  ['phrases that do not fit', { tokens: 7 }, /The phrases fill 2 prompts of 7 `tokens`; give more tokens, up to 256/],
])('%s is refused in a sentence', async (_, change, message) => {
  const asked = { model: nano, output: join(folder, 'refused'), sizes: [SIZE], phrases: PHRASES, tokens: TOKENS };
  await expect(exportOpenVino({ ...asked, ...change })).rejects.toThrow(message);
});
