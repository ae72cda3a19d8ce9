/** The command line as a user meets it: what it prints, what it refuses, and how. */
import { copyFile, cp, mkdir, mkdtemp, readdir, readFile, rm, symlink, truncate, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { beforeAll, describe, expect, test } from 'vitest';
import { packageRoot } from '../src/base/package-root.ts';
import { writeSmallCheckpoint } from '../src/models/grounding-dino/testing/small-checkpoint.ts';
import { entry, run, runHere, signalledAt } from './run-cli.ts';

const nano = join(packageRoot, 'assets/nano');
const image = join(packageRoot, 'assets/shapes/val/000082.jpg');
const validation = join(packageRoot, 'assets/shapes/val');
const calibration = join(packageRoot, 'assets/shapes/calib');
let folder: string;
/** The path of a checkpoint of a few layers, for tests of what a model does not matter for. */
let small: string;
const at = (...parts: string[]) => join(folder, ...parts);

beforeAll(async () => {
  folder = await mkdtemp(join(tmpdir(), 'dino8-cli-'));
  small = await writeSmallCheckpoint(at('small'));
  const converted = await run(['convert', nano, '-o', at('model.onnx')]);
  expect(converted.code, converted.stderr).toBe(0);
});

describe('the command line', () => {
  test('every command explains itself with an example', async () => {
    const { stdout: overview } = await run(['--help']);
    const commands = [...overview.matchAll(/^ {2}(?!help )([a-z]+) {2,}\S/gm)].map(([, command]) => command ?? '');
    expect(commands).toContain('inspect');
    for (const command of commands) {
      const { code, stdout } = await runHere([command, '--help']);
      expect(code, command).toBe(0);
      expect(stdout).toMatch(/Examples?:\n/);
    }
  });

  test('no result is written over a file of words that the command line reads', async () => {
    await writeFile(at('words.txt'), 'red circle\n');
    await symlink('words.txt', at('linked.txt'));
    for (const args of [
      ['calibrate', small, image, '--phrases-file', at('words.txt'), '-o', at('words.txt')],
      ['vocabulary', small, validation, '--seen-file', at('words.txt'), '-o', at('linked.txt')],
      ['specialize', small, '--prompts-file', at('words.txt'), '-o', at('words.txt')],
    ]) {
      const { code, stderr } = await runHere(args);
      expect(stderr).toMatch(/would be written over/);
      expect(code).toBe(2);
    }
    expect(await readFile(at('words.txt'), 'utf8')).toBe('red circle\n');
  });

  test('says that an infinite number is null in JSON', async () => {
    const { code, stdout, stderr } = await runHere([
      'compare',
      small,
      small,
      calibration,
      '--images',
      '1',
      '--no-accuracy',
      '--json',
    ]);
    expect(code, stderr).toBe(0);
    const layers: { decibels: number | null }[] = JSON.parse(stdout).layers;
    expect(layers.filter(({ decibels }) => decibels === null).length).toBeGreaterThan(0);
    expect(stderr).toMatch(/note: JSON has no number that is infinite or unknown, so that \d+ of this result are null/);
    expect((await runHere(['inspect', small, '--json'])).stderr).not.toMatch(/note: JSON/);
  });

  test('detect prints a table or JSON, and writes annotated images', async () => {
    const args = [
      'detect',
      image,
      '--model',
      at('model.onnx'),
      '--phrases',
      'white star, orange triangle, orange ring',
    ];
    const table = await run([...args, '--out', at('drawn')]);
    expect(table.stdout).toMatch(/white star/);
    expect(await readdir(at('drawn'))).toEqual(['000082.jpg']);
    const [{ detections }] = JSON.parse((await runHere([...args, '--json'])).stdout);
    expect(detections.map((detection: { label: string }) => detection.label)).toContain('white star');
  });

  test('quantize and eval run with 1,500 phrases and with options that are not the defaults', async () => {
    const quantized = await runHere([
      'quantize',
      at('model.onnx'),
      '--recipe',
      'static',
      '--calibration',
      calibration,
      '--calibration-images',
      '4',
      '-o',
      at('int8.onnx'),
      '--json',
    ]);
    expect(quantized.code, quantized.stderr).toBe(0);
    expect(JSON.parse(quantized.stdout).layers.static).toBeGreaterThan(50);
    const scored = await runHere(['eval', at('int8.onnx'), validation, '--images', '10', '--json']);
    expect(JSON.parse(scored.stdout).figures.AP).toBeGreaterThan(0.4);
    const many = Array.from({ length: 1500 }, (_, index) => `red thing ${index}`).join(',');
    const found = await run(['detect', image, '--model', small, '--phrases', many, '--json']);
    expect(found.code, found.stderr).toBe(0);
  });

  test('doctor prints the versions and whether the kernels are in use', async () => {
    const { stdout, stderr } = await run(['doctor', '--json']);
    expect(stderr).toBe('');
    const report = JSON.parse(stdout);
    expect(report['ONNX Runtime']).toMatch(/^1\./);
    expect(report.kernels).toMatch(/in use|not built/);
    expect(report['execution providers'].cpu).toBe('works');
    const without = await run(['DINO8_NO_KERNELS=1', process.execPath, entry, 'doctor', '--json'], 'env', []);
    expect(JSON.parse(without.stdout).kernels).toMatch(/switched off|not built/);
  });

  test('a checkpoint in shards makes the same model as one file', async () => {
    await mkdir(at('sharded'));
    await cp(small, at('sharded'), { recursive: true });
    await splitIntoShards(at('sharded'));
    for (const name of ['small', 'sharded']) {
      const { code, stderr } = await runHere(['convert', at(name), '-o', at(`${name}.onnx`)]);
      expect(code, stderr).toBe(0);
    }
    expect((await readFile(at('sharded.onnx'))).equals(await readFile(at('small.onnx')))).toBe(true);
  });
});

/** Rewrites a folder's model.safetensors as two shards and their index. */
async function splitIntoShards(target: string): Promise<void> {
  const file = await readFile(join(target, 'model.safetensors'));
  const length = Number(file.readBigUInt64LE(0));
  const header: Record<string, { data_offsets: [number, number] }> = JSON.parse(
    file.subarray(8, 8 + length).toString(),
  );
  const data = file.subarray(8 + length);
  const names = Object.keys(header).filter((name) => name !== '__metadata__');
  const weightMap: Record<string, string> = {};
  for (const part of [0, 1]) {
    const shard = `model-0000${part + 1}-of-00002.safetensors`;
    const entries: Record<string, unknown> = {};
    const pieces: Buffer[] = [];
    let offset = 0;
    for (const name of names.filter((_, index) => index % 2 === part)) {
      const [begin, end] = header[name]?.data_offsets ?? [0, 0];
      entries[name] = { ...header[name], data_offsets: [offset, offset + end - begin] };
      pieces.push(data.subarray(begin, end));
      offset += end - begin;
      weightMap[name] = shard;
    }
    const head = Buffer.from(JSON.stringify(entries));
    const size = Buffer.alloc(8);
    size.writeBigUInt64LE(BigInt(head.length));
    await writeFile(join(target, shard), Buffer.concat([size, head, ...pieces]));
  }
  await writeFile(join(target, 'model.safetensors.index.json'), JSON.stringify({ weight_map: weightMap }));
  await rm(join(target, 'model.safetensors'));
}

/** One sentence on the standard error, the exit code of its kind, nothing on the standard output, no file. */
async function expectRefusal(args: readonly string[], code: 1 | 2, message: RegExp): Promise<void> {
  const result = await runHere(args);
  expect(result.stderr).toMatch(message);
  expect(result.stderr.trim().split('\n').length, result.stderr).toBe(1);
  expect(result.stderr).toMatch(/^dino8: /);
  expect(result.stderr).not.toMatch(/internal error|\n\s+at /);
  expect(result.stdout).toBe('');
  expect(result.code, result.stderr).toBe(code);
}

const detect = (model: string, picture = image, phrases = 'red circle') => [
  'detect',
  picture,
  '--model',
  model,
  '--phrases',
  phrases,
];

describe('bad input', () => {
  test('a missing, damaged or unsupported model is an error of one sentence', async () => {
    await expectRefusal(detect(at('none.onnx')), 2, /none\.onnx does not exist/);
    await mkdir(at('empty'));
    await expectRefusal(detect(at('empty')), 2, /has no config\.json/);
    await writeFile(at('noise.onnx'), Buffer.from('this is no protobuf at all'));
    await expectRefusal(detect(at('noise.onnx')), 1, /noise\.onnx is not/);
    await copyFile(at('model.onnx'), at('short.onnx'));
    await truncate(at('short.onnx'), 1_000_000);
    await expectRefusal(detect(at('short.onnx')), 1, /short\.onnx is not a readable ONNX model/);
    await expectRefusal(detect(join(nano, 'tokenizer.json')), 1, /is JSON, which holds no weights/);
  });

  test('all tensors of a checkpoint that are missing or of another shape are in one message', async () => {
    await cp(nano, at('contradiction'), { recursive: true });
    const config = JSON.parse(await readFile(join(nano, 'config.json'), 'utf8'));
    await writeFile(
      at('contradiction', 'config.json'),
      JSON.stringify({ ...config, encoder_layers: 3, num_queries: 50 }),
    );
    const message =
      /\d+ missing \(model\.encoder\.layers\.2\..*; 1 of another shape \(model\.query_position_embeddings\.weight is \[100, 64\] instead of \[50, 64\]\)/;
    await expectRefusal(['convert', at('contradiction'), '-o', at('never.onnx')], 1, message);
    await writeFile(at('contradiction', 'config.json'), JSON.stringify({ ...config, d_model: 65 }));
    await expectRefusal(['convert', at('contradiction'), '-o', at('never.onnx')], 1, /contradicts itself/);
    await writeFile(at('contradiction', 'config.json'), '{');
    await expectRefusal(['convert', at('contradiction'), '-o', at('never.onnx')], 1, /config\.json is not valid JSON/);
    await writeFile(at('contradiction', 'config.json'), JSON.stringify(config));
    await truncate(at('contradiction', 'model.safetensors'), 5000);
    await expectRefusal(['convert', at('contradiction'), '-o', at('never.onnx')], 1, /model\.safetensors/);
    expect((await readdir(folder)).filter((name) => name.includes('never'))).toEqual([]);
  });

  test('unusable images and prompts are errors of one sentence', async () => {
    const model = at('model.onnx');
    await expectRefusal(detect(model, at('none.jpg')), 2, /none\.jpg does not exist/);
    await expectRefusal(detect(model, at('noise.onnx')), 1, /cannot be decoded/);
    await expectRefusal(detect(model, at('empty')), 2, /holds no pictures/);
    await expectRefusal(detect(model, image, ' '), 2, /no phrases/);
    await expectRefusal(detect(model, image, '!?'), 2, /no words/);
    await expectRefusal([...detect(model), '--threshold', '7'], 2, /--threshold must be a number from 0 to 1/);
  });

  test('wrong annotations, recipes and options are errors of one sentence', async () => {
    const model = at('model.onnx');
    await expectRefusal(['eval', model, at('none')], 2, /none does not exist/);
    await expectRefusal(['eval', model, at('empty')], 2, /has no labels/);
    await mkdir(at('coco'));
    await writeFile(at('coco', 'annotations.json'), '{"images": [{"id": {}}], "categories": []}');
    await expectRefusal(['eval', model, at('coco')], 1, /annotations\.json is not as expected at images\.0\.id/);
    await expectRefusal(['quantize', model, '-o', at('never.onnx')], 2, /--calibration/);
    await expectRefusal(['quantize', model, '--recipe', 'best', '-o', at('never.onnx')], 2, /no recipe best/);
    await writeFile(at('typo.yaml'), "description: x\nrules: [{match: 'model.bacbone.**', treatment: dynamic}]");
    await expectRefusal(['quantize', model, '--recipe', at('typo.yaml'), '-o', at('never.onnx')], 2, /matches nothing/);
    await expectRefusal(['convert', nano, '-o', at('nowhere', 'model.onnx')], 2, /folder does not exist/);
    expect((await run(['detect'])).code).toBe(2);
    expect((await runHere(['transmogrify'])).code).toBe(2);
  });

  test('a data set that an option names has settings of its own', async () => {
    const quantize = ['quantize', at('model.onnx'), '-o', at('never.onnx')];
    await expectRefusal([...quantize, '--calibration-split', 'val'], 2, /--calibration-split has no effect without/);
    const box = { id: 1, image_id: 1, category_id: 1, bbox: [1, 2, 3, 4] };
    const labels = {
      images: [{ id: 1, file_name: 'a.jpg' }],
      categories: [{ id: 1, name: 'ring' }],
      annotations: [box],
    };
    for (const split of ['one', 'two']) {
      await mkdir(at('splits', split), { recursive: true });
      await writeFile(at('splits', split, '_annotations.coco.json'), JSON.stringify(labels));
    }
    const named = [...quantize, '--calibration', at('splits')];
    await expectRefusal(named, 2, /choose one with --calibration-annotations or, .* with --calibration-split/);
    await expectRefusal([...named, '--calibration-split', 'six'], 2, /has no split six; its splits are one, two/);
    await expectRefusal(
      [...named, '--calibration-split', 'one'],
      1,
      /name their folder with --calibration-images-root/,
    );
  });

  test('an option that has no effect is refused', async () => {
    const model = at('model.onnx');
    await expectRefusal(
      ['calibrate', '--merge', 'a.json', '--images', '3', '-o', at('never.json')],
      2,
      /--images has no/,
    );
    await expectRefusal(
      ['quantize', model, '--explain', '--calibration', validation],
      2,
      /--calibration has no effect/,
    );
    const train = ['train', nano, validation, '--images', '1', '--steps', '1', '-o', at('never')];
    await expectRefusal([...train, '--validate-every', '5'], 2, /--validate-every has no effect without --validate/);
  });

  test('a full disk is reported and leaves no partial file', async () => {
    // A limit on the size of files makes the kernel refuse a write in the middle, as a full disk does.
    const target = at('full', 'model.onnx');
    await mkdir(at('full'));
    const { code, stderr } = await run(
      ['-c', `ulimit -f 2000; exec "$0" "$@"`, process.execPath, entry, 'convert', nano, '-o', target],
      'bash',
      [],
    );
    expect(stderr).toMatch(/disk is full/);
    expect(code).toBe(1);
    expect(await readdir(at('full'))).toEqual([]);
  });

  test('Ctrl-C stops at once and loses nothing: the next run continues to the same figures', async () => {
    const args = ['eval', at('model.onnx'), validation, '--images', '12', '-o', at('scores.json')];
    const interrupted = await run(
      args,
      process.execPath,
      signalledAt('SIGINT', { path: /scores\.json\.partial$/, count: 5 }),
    );
    expect(interrupted.code).toBe(130);
    expect(interrupted.stderr).toMatch(/interrupted; the finished work is kept in .*scores\.json\.partial/);
    const journal = await readFile(at('scores.json.partial'), 'utf8');
    expect(journal.split('\n').length).toBeGreaterThan(3);
    // Torn in the middle of a line, as by a loss of power.
    await writeFile(at('scores.json.partial'), journal.slice(0, -20));
    const resumed = await runHere(args);
    expect(resumed.code, resumed.stderr).toBe(0);
    const { figures } = JSON.parse(await readFile(at('scores.json'), 'utf8'));
    const whole = JSON.parse((await runHere([...args.slice(0, 5), '--json'])).stdout);
    expect(figures).toEqual(whole.figures);
    expect(figures.AP).toBeGreaterThan(0.4);
    expect(await readdir(folder)).not.toContain('scores.json.partial');
  });
});
