/** `dino8 compress` as a user meets it: killed, interrupted, continued, and with another recipe. */
import { mkdir, mkdtemp, readFile, symlink, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { beforeAll, describe, expect, test } from 'vitest';
import { packageRoot } from '../src/base/package-root.ts';
import type { CompressResult } from '../src/index.ts';
import { writeSmallCheckpoint } from '../src/models/grounding-dino/testing/small-checkpoint.ts';
import { run, runHere, signalledAt } from './run-cli.ts';

const validation = join(packageRoot, 'assets/shapes/val');
const calibration = join(packageRoot, 'assets/shapes/calib');
let folder: string;
let checkpoint: string;
let args: string[];
/** What the last whole run has printed. */
let printed = '';
const at = (...parts: string[]) => join(folder, ...parts);

/** A recipe of one layer, so that quantizing takes no time. */
const recipe = (layer: 'fc1' | 'fc2') => `description: One layer of the encoder.
rules:
  - match: 'model.encoder.layers.0.deformable_layer.${layer}'
    operators: [MatMul]
    treatment: static
`;

beforeAll(async () => {
  folder = await mkdtemp(join(tmpdir(), 'dino8-compress-'));
  await writeFile(at('one.yaml'), recipe('fc1'));
  await symlink(join(packageRoot, 'assets/shapes'), at('linked'));
  checkpoint = await writeSmallCheckpoint(at('checkpoint'));
  args = [
    'compress',
    checkpoint,
    validation,
    '--calibration',
    calibration,
    '--calibration-images',
    '2',
    '--images',
    '6',
  ];
  args.push('--recipes', at('one.yaml'), '--runs', '1', '-o', at('out'));
});

/** The names of the recorded steps, in the order in which they were done. */
async function steps(): Promise<string[]> {
  const text = await readFile(at('out/state/steps.jsonl'), 'utf8').catch(() => '');
  const lines = text.split('\n').slice(1, -1);
  return lines.map((line) => JSON.parse(line).step);
}

describe('compress', () => {
  test('continues at the step where it was killed or interrupted, and does nothing twice', async () => {
    const inTheScore = signalledAt('SIGKILL', { calls: ['appendFile'], path: /state.score-/, count: 3 });
    await run(args, process.execPath, inTheScore);
    expect(await steps()).toEqual(['convert', 'calibrate', 'make one']);

    // The steps that are recorded now are the scores of the two models.
    const afterScores = signalledAt('SIGINT', { calls: ['appendFile'], path: /steps\.jsonl$/, count: 2 });
    const interrupted = await run(args, process.execPath, afterScores);
    expect(interrupted.code, interrupted.stderr).toBe(130);
    expect(interrupted.stderr).toMatch(/kept in .*out, and the same command continues there/);
    const before = await steps();

    const done = await run([...args, '--json']);
    expect(done.code, done.stderr).toBe(0);
    expect(done.stderr).toMatch(/^(\d+) of \1: write the report$/m);
    const after = await steps();
    expect(after.slice(0, before.length)).toEqual(before);
    expect(new Set(after).size).toBe(after.length);

    const results = JSON.parse(done.stdout);
    expect(results.variants.map(({ name }: { name: string }) => name)).toEqual(['FP32', 'one']);
    const { figures } = JSON.parse((await runHere(['eval', checkpoint, validation, '--images', '6', '--json'])).stdout);
    expect(results.variants[0].figures).toEqual(figures);
    expect(JSON.parse(await readFile(at('out/results.json'), 'utf8'))).toEqual(results);
    expect(await readFile(at('out/report.html'), 'utf8')).toContain('One layer of the encoder.');
  });

  test('whose results have an entry twice makes no report', async () => {
    const doubled = async (change: (results: CompressResult) => unknown) => {
      const results = JSON.parse(await readFile(at('out/results.json'), 'utf8'));
      change(results);
      await writeFile(at('doubled.json'), JSON.stringify(results));
      const refused = await runHere(['report', at('doubled.json'), '-o', at('doubled.html')]);
      expect(refused.code, refused.stderr).toBe(1);
      return refused.stderr;
    };
    const again = (list: readonly unknown[] | undefined) => (list as unknown[]).push(list?.[0]);
    const inCategories = await doubled(({ variants }) => again(variants[0]?.categories));
    expect(inCategories).toMatch(
      /doubled\.json is not as expected at variants\.0\.categories\.\d+\.id: an entry before it/,
    );
    expect(await doubled(({ variants }) => again(variants))).toMatch(/at variants\.2\.name: an entry before/);
    expect(await doubled(({ inspected }) => again(inspected.inspection.modules))).toMatch(/modules\.\d+\.path/);
    expect(await doubled(({ images }) => again(images[0]?.detections))).toMatch(/at images\.0\.detections\.2\.variant/);
  });

  test('repeats only the steps that a change affects, and names the change', async () => {
    const before = await steps();
    await writeFile(at('one.yaml'), recipe('fc2'));
    const changed = await run(args);
    expect(changed.code, changed.stderr).toBe(0);
    printed = changed.stdout;
    expect(changed.stderr).toMatch(/note: The step "make one" is done again, because "recipe" changed/);
    const again = (await steps()).slice(before.length);
    expect(again).toContain('score one');
    expect(again.filter((name) => name === 'convert' || name.includes('FP32'))).toEqual([]);
  });

  test('has results that `report --csv` prints as lines, with nothing else between them', async () => {
    const { code, stdout } = await runHere(['report', at('out/results.json'), '--csv']);
    expect(code).toBe(0);
    const [heading = '', ...lines] = stdout.trimEnd().split('\n');
    expect(heading).toMatch(/^variant,.*,objects_gained$/);
    expect(lines.map((line) => line.split(',')[0])).toEqual(['FP32', 'one']);
    expect(new Set(lines.map((line) => line.split(',').length))).toEqual(new Set([heading.split(',').length]));
    // The ratio of times that the command prints is that of the report.
    const speedup = Number(lines[1]?.split(',')[heading.split(',').indexOf('speedup')]);
    expect(printed).toMatch(new RegExp(`^one .* ms ${speedup.toFixed(2)}x$`, 'm'));
  });

  test.each([
    [['--calibration', validation], 2, /--calibration are those of the data set/],
    [['--calibration', 'linked/val'], 2, /--calibration are those of the data set/],
    [['--set-aside', '1.5'], 2, /--set-aside must be a number from 0 to 1/],
    [['--recipes', 'none'], 2, /There is no recipe none/],
    [['--recipes', 'dynamic,dynamic'], 2, /name each recipe once/],
  ])('%j is refused in one sentence', async (extra, code, message) => {
    const named = extra.map((each) => each.replace('linked', at('linked')));
    const refused = await runHere(['compress', checkpoint, validation, '-o', at('none'), ...named]);
    expect(refused.stderr).toMatch(message);
    expect(refused.code).toBe(code);
  });

  test('never removes a folder that is called as its state', async () => {
    await mkdir(at('mine/state'), { recursive: true });
    await writeFile(at('mine/state/thesis.txt'), 'precious');
    const refused = await runHere(['compress', checkpoint, validation, '-o', at('mine'), '--fresh']);
    expect(refused.stderr).toMatch(/state holds files that are not those of an earlier run, such as thesis\.txt/);
    expect(refused.code).toBe(2);
    expect(await readFile(at('mine/state/thesis.txt'), 'utf8')).toBe('precious');
  });
});
