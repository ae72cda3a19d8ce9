/** Calibration as a user meets it: in parts, interrupted, with images that are damaged. */
import { cp, mkdir, mkdtemp, readFile, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { beforeAll, describe, expect, test } from 'vitest';
import { exists } from '../src/base/files.ts';
import { packageRoot } from '../src/base/package-root.ts';
import { writeSmallCheckpoint } from '../src/models/grounding-dino/testing/small-checkpoint.ts';
import { run, runHere, signalledAt } from './run-cli.ts';

const images = join(packageRoot, 'assets/shapes/calib');
let folder: string;
let checkpoint: string;
const at = (...parts: string[]) => join(folder, ...parts);

beforeAll(async () => {
  folder = await mkdtemp(join(tmpdir(), 'dino8-calibrate-'));
  checkpoint = await writeSmallCheckpoint(at('checkpoint'));
});

const calibrate = (...args: string[]) => runHere(['calibrate', ...args]);
const ELEVEN = ['--images', '11', '--seed', '3'];

describe('calibrate', () => {
  let whole: string;
  beforeAll(async () => {
    const done = await calibrate(checkpoint, images, ...ELEVEN, '-o', at('whole.json'));
    expect(done.code, done.stderr).toBe(0);
    whole = await readFile(at('whole.json'), 'utf8');
  });

  test('merged parts have the same bits as one run', async () => {
    const parts = [1, 2, 3].map((part) => at(`part${part}.json`));
    for (const [index, path] of parts.entries()) {
      const { code, stderr } = await calibrate(checkpoint, images, ...ELEVEN, '--shard', `${index + 1}/3`, '-o', path);
      expect(code, stderr).toBe(0);
    }
    const merged = await calibrate('--merge', ...parts.toReversed(), '-o', at('merged.json'));
    expect(merged.code, merged.stderr).toBe(0);
    expect(await readFile(at('merged.json'), 'utf8')).toBe(whole);

    const missing = await calibrate('--merge', ...parts.slice(1), '-o', at('none.json'));
    expect(missing).toMatchObject({ code: 2, stderr: expect.stringMatching(/Part 1 of 3 is missing/) });
    const part = await runHere(['quantize', checkpoint, '--statistics', parts[0] ?? '', '-o', at('none.onnx')]);
    expect(part).toMatchObject({ code: 1, stderr: expect.stringMatching(/is part 1 of 3; merge the parts/) });
  });

  test('continues after an interruption, with the same result', async () => {
    const args = ['calibrate', checkpoint, images, ...ELEVEN, '-o', at('again.json'), '--threads', '1'];
    // Each picture is opened a first time to be identified.
    const interrupted = await run(args, process.execPath, signalledAt('SIGINT', { path: /\.jpg$/, count: 11 + 5 }));
    expect(interrupted.code, interrupted.stderr).toBe(130);
    expect(await exists(at('again.json'))).toBe(false);
    expect(await exists(at('again.json.partial'))).toBe(true);
    // What is kept has the form of statistics, and knows a part of the images only.
    const refused = {
      code: 1,
      stderr: expect.stringMatching(/json\S* knows [4-9] of the 11 images .* was interrupted/),
    };
    const kept = JSON.parse(await readFile(at('again.json.partial'), 'utf8'));
    await writeFile(at('alone.json'), JSON.stringify({ ...kept, shard: { index: 1, count: 1 } }));
    const statistics = ['--statistics', at('again.json.partial')];
    expect(await runHere(['quantize', checkpoint, ...statistics, '-o', at('none.onnx')])).toMatchObject(refused);
    expect(await calibrate('--merge', at('alone.json'), '-o', at('none.json'))).toMatchObject(refused);
    const resumed = await runHere(args);
    expect(resumed.code, resumed.stderr).toBe(0);
    expect(await readFile(at('again.json'), 'utf8')).toBe(whole);
    expect(await exists(at('again.json.partial'))).toBe(false);
  });

  test('statistics of another model are refused', async () => {
    const other = join(packageRoot, 'test/fixtures/golden/random_window12');
    await cp(checkpoint, at('other'), { recursive: true });
    for (const name of ['config.json', 'model.safetensors']) await cp(join(other, name), at('other', name));
    const { code, stderr } = await runHere([
      'quantize',
      at('other'),
      '--statistics',
      at('whole.json'),
      '-o',
      at('none.onnx'),
    ]);
    expect(code).toBe(1);
    expect(stderr).toMatch(/whole\.json is of another model/);
  });

  test('images that cannot be read are named, and left out if asked', async () => {
    await mkdir(at('set', 'images'), { recursive: true });
    for (const name of ['000001.jpg', '000002.jpg']) await cp(join(images, name), at('set/images', name));
    await writeFile(at('set/images/broken.jpg'), 'no image');
    const described = ['000001.jpg', '000002.jpg', 'broken.jpg'].map((file_name, index) => ({
      id: index + 1,
      file_name,
      width: 256,
      height: 192,
    }));
    const categories = [{ id: 1, name: 'red circle' }];
    await writeFile(
      at('set/images/annotations.json'),
      JSON.stringify({ images: described, annotations: [], categories }),
    );
    const args = [checkpoint, at('set/images'), '--images', '3', '-o', at('some.json'), '--json'];
    const incomplete = await calibrate(...args);
    expect(incomplete.code).toBe(1);
    expect(incomplete.stderr).toMatch(/broken\.jpg.*left out[\s\S]*--skip-unreadable/);
    expect(JSON.parse(incomplete.stdout)).toMatchObject({ skipped: [expect.stringMatching(/broken\.jpg$/)] });
    const { code, stdout, stderr } = await calibrate(...args, '--skip-unreadable');
    expect(code, stderr).toBe(0);
    expect(JSON.parse(stdout)).toMatchObject({ images: 3, skipped: [expect.stringMatching(/broken\.jpg$/)] });

    await rm(at('set/images/000002.jpg'));
    const missing = await calibrate(...args);
    expect(missing).toMatchObject({ code: 1, stderr: expect.stringMatching(/1 of 3 pictures .*000002\.jpg/) });
  });

  test.each([
    [['--images', '0'], /--images must be a whole number/],
    [['--images', '9999'], /9999 images were asked for and the dataset has 256/],
    [['--shard', '3/2'], /--shard must be like 1\/4/],
    [['--images', '1', '--recipe', 'none'], /There is no recipe none/],
  ])('%j is refused in one sentence', async (args, message) => {
    const { code, stderr } = await calibrate(checkpoint, images, ...args, '-o', at('none.json'));
    expect(code).toBe(2);
    expect(stderr).toMatch(message);
    expect(stderr).not.toMatch(/^\s+at /m);
  });

  test('a file that is no statistics file, or a damaged one, is refused in one sentence', async () => {
    const parsed = JSON.parse(whole);
    const [name = ''] = Object.keys(parsed.values);
    const damaged = structuredClone(parsed);
    damaged.values[name].histogram.first = 4000;
    await writeFile(at('damaged.json'), JSON.stringify(damaged));
    await writeFile(at('cut.json'), whole.slice(0, whole.length / 2));
    await writeFile(at('empty.json'), '{}');
    for (const file of ['damaged.json', 'cut.json', 'empty.json']) {
      const { code, stderr } = await runHere(['quantize', checkpoint, '--statistics', at(file), '-o', at('none.onnx')]);
      expect(code, file).toBe(1);
      expect(stderr.trim().split('\n'), file).toHaveLength(1);
    }
  });
});
