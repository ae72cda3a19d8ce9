/** dino8's models in OpenVINO find the boxes that they find in ONNX Runtime, by the scripts of the bundle. */
import { execFile } from 'node:child_process';
import { copyFileSync, cpSync, mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { promisify } from 'node:util';
import { crc32 } from 'node:zlib';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { packageRoot } from '../src/base/package-root.ts';
import { bundledCalibration } from '../src/data/bundled.ts';
import { readImage } from '../src/data/image.ts';
import { writeSmallCheckpoint } from '../src/models/grounding-dino/testing/small-checkpoint.ts';
import { readModel } from '../src/onnx/read.ts';
import type { BundleManifest } from '../src/pipeline/bundles/manifest.ts';
import { lint } from '../src/pipeline/lint-step.ts';
import { exportOpenVino } from '../src/pipeline/openvino/export-openvino.ts';
import { quantize } from '../src/pipeline/quantize-step.ts';

const python = process.env.PYTHON ?? 'python3';
const run = promisify(execFile);
const hasOpenVino = await run(python, ['-c', 'import openvino, numpy, PIL']).then(
  () => true,
  () => false,
);

const hasPillow = await run(python, ['-c', 'import numpy, PIL']).then(
  () => true,
  () => false,
);

const folder = mkdtempSync(join(tmpdir(), 'dino8-openvino-'));
afterAll(() => rmSync(folder, { recursive: true }));
const picture = join(packageRoot, 'assets/shapes/val/000082.jpg');
const PHRASES = ['white star', 'orange ring', 'red circle'];
/** What a script prints, and its exit code; never rejects. */
const ended = (script: string, ...args: string[]) =>
  run(python, [script, ...args]).then(
    ({ stdout, stderr }) => ({ code: 0, stdout, stderr }),
    ({ code, stdout, stderr }) => ({ code, stdout, stderr }),
  );
const float = join(folder, 'float');
const integers = join(folder, 'int8');

beforeAll(async () => {
  const asked = { phrases: PHRASES, picture, threads: 1 };
  const model = join(folder, 'small.openvino.onnx');
  await quantize({
    model: await writeSmallCheckpoint(join(folder, 'checkpoint')),
    output: model,
    recipe: 'static',
    target: 'openvino',
    calibration: bundledCalibration(),
    calibrationImages: 2,
    threads: 1,
  });
  const made = await exportOpenVino({ ...asked, model, output: integers, sizes: [96] });
  expect(made).toMatchObject({ precision: 'int8', engines: [{ name: '96x96' }] });
});

test('a bundle has models that OpenVINO takes by its tables, without functions and text', async () => {
  expect(readdirSync(integers).toSorted()).toEqual([
    'README.md',
    'bundle.json',
    'compare.py',
    'detection.py',
    'golden.json',
    'model.onnx',
    'packages.py',
    'pictures.py',
    'run.py',
    'runtime.py',
  ]);
  const path = join(integers, 'model.onnx');
  expect((await lint({ model: path, target: 'openvino' })).findings).toEqual([]);
  const { graph, functions } = await readModel(path);
  expect([graph.input.map((each) => each.name), functions.length]).toEqual([['pixel_values'], 0]);
  expect(graph.node.filter(({ opType }) => opType === 'QuantizeLinear').length).toBeGreaterThan(10);
});

describe.skipIf(!hasOpenVino)('in OpenVINO', () => {
  beforeAll(async () => {
    await exportOpenVino({
      phrases: PHRASES,
      picture,
      threads: 1,
      model: join(packageRoot, 'assets/nano'),
      output: float,
      sizes: [{ height: 192, width: 256 }],
    });
  });

  test.each([
    ['the float model', float],
    ['the model in INT8', integers],
  ])('%s finds the boxes of the check', async (_, bundle) => {
    const { stdout } = await run(python, [join(bundle, 'compare.py'), '--precision', 'f32']);
    // Every box, in float; and in INT8 what the limits of the check ask for.
    expect(stdout).toMatch(bundle === float ? /^(\d+) of the \1 boxes/ : /^\d+ of the \d+ boxes/);
  });

  test('run.py prints boxes', async () => {
    const { stdout } = await run(python, [join(float, 'run.py'), '--precision', 'f32', '--threshold', '0.3', picture]);
    const { detections } = JSON.parse(stdout);
    expect(detections.length).toBeGreaterThan(1);
    for (const { label } of detections) expect(PHRASES).toContain(label);
  });

  /** A copy of the bundle of the float model in which something was changed. */
  const changed = (name: string, change: (path: string) => void) => {
    const path = join(folder, name);
    cpSync(float, path, { recursive: true });
    change(path);
    return path;
  };
  const changeManifest = (path: string, change: (manifest: BundleManifest) => unknown) => {
    const file = join(path, 'bundle.json');
    const manifest: BundleManifest = JSON.parse(readFileSync(file, 'utf8'));
    writeFileSync(file, JSON.stringify({ ...manifest, ...(change(manifest) as object) }));
  };
  const unchanged = () => {};
  const without = (name: string) => (path: string) => rmSync(join(path, name));

  test.each<[string, (path: string) => void, readonly string[], RegExp, number?]>([
    [
      'no picture',
      unchanged,
      ['/nowhere.jpg'],
      /^\/nowhere\.jpg cannot be read as a picture \(No such file or directory\)/,
    ],
    ['a folder', unchanged, [folder], /cannot be read as a picture \(Is a directory\)/],
    [
      'a file that is no picture',
      unchanged,
      [join(float, 'run.py')],
      /run\.py cannot be read as a picture \(cannot identify/,
    ],
    [
      'a threshold that is no number',
      unchanged,
      ['--threshold', 'nan', picture],
      /--threshold: nan is not from 0 to 1/,
      2,
    ],
    [
      'no list of models',
      without('bundle.json'),
      [picture],
      /bundle\.json cannot be read \(.*No such file.*copy the whole folder/,
    ],
    ['no model', without('model.onnx'), [picture], /OpenVINO does not load .*model\.onnx on CPU/],
    [
      'a list of another version',
      (path) => changeManifest(path, () => ({ format: 2 })),
      [picture],
      /bundle\.json is of another version of dino8/,
    ],
    [
      'a model of another size',
      (path) => copyFileSync(join(integers, 'model.onnx'), join(path, 'model.onnx')),
      [picture],
      /OpenVINO does not run the model \(/,
    ],
    [
      'a model with other results',
      (path) => changeManifest(path, ({ outputs }) => ({ outputs: { ...outputs, boxes: 'boxes' } })),
      [picture],
      /The model has no result boxes, so it is of another bundle/,
    ],
    [
      'a model with fewer tokens',
      (path) =>
        changeManifest(path, ({ postprocessing }) => ({
          postprocessing: { ...postprocessing, phrases: [{ label: 'many', begin: 1, end: 999 }] },
        })),
      [picture],
      /The model has fewer tokens than the phrases of bundle\.json/,
    ],
  ])('the scripts say in a sentence what is wrong: %s', async (name, change, args, message, expected = 1) => {
    const { code, stdout, stderr } = await ended(join(changed(name, change), 'run.py'), ...args);
    expect([code, stdout, stderr]).toEqual([expected, '', expect.stringMatching(message)]);
    expect(stderr).not.toContain('Traceback');
  });
});

describe.skipIf(!hasPillow)('pictures.py', () => {
  const pictures = join(packageRoot, 'test/fixtures/pictures');
  /** The pixels of pictures, or the sentences by which they are refused, and what is said beside. */
  const read = async (paths: readonly string[]) => {
    const script = `
import base64, json, sys
sys.path.insert(0, ${JSON.stringify(join(packageRoot, 'bundles/python'))})
from pictures import read_picture
found = {}
for path in sys.argv[1:]:
    try:
        image = read_picture(path, path.rsplit("/", 1)[-1])
        found[path] = {"size": image.size, "rgb": base64.b64encode(image.tobytes()).decode()}
    except SystemExit as refusal:
        found[path] = {"refusal": str(refusal)}
print(json.dumps(found))`;
    const { stdout, stderr } = await run(python, ['-c', script, ...paths], { maxBuffer: 1 << 26 });
    const found: Record<string, { size?: [number, number]; rgb?: string; refusal?: string }> = JSON.parse(stdout);
    return { found: paths.map((path) => found[path] ?? {}), stderr };
  };

  test('reads the pixels that dino8 reads, and says where bright gray becomes white', async () => {
    // Whether Pillow reads AVIF depends on how it was built.
    const names = readdirSync(pictures).filter((name) => name !== 'refused' && !/\.(py|json|avif)$/.test(name));
    const { found, stderr } = await read(names.map((name) => join(pictures, name)));
    for (const [at, name] of names.entries()) {
      const { width, height, pixels } = await readImage(join(pictures, name));
      expect([name, found[at]?.size]).toEqual([name, [width, height]]);
      expect([name, Buffer.compare(Buffer.from(found[at]?.rgb ?? '', 'base64'), pixels)]).toEqual([name, 0]);
    }
    expect(stderr).toMatch(/^gray16\.png is grayscale of 16 bits/m);
    expect(stderr).not.toMatch(/^(dark16\.tif|rgb16\.png|gray\.png) /m);
  });

  test('refuses what dino8 refuses', async () => {
    const refused = readdirSync(join(pictures, 'refused')).map((name) => join(pictures, 'refused', name));
    const huge = join(folder, 'huge.png');
    const chunk = (type: string, content: Buffer) => {
      const body = Buffer.concat([Buffer.from(type), content]);
      const numbers = Buffer.alloc(8);
      numbers.writeUInt32BE(content.length, 0);
      numbers.writeUInt32BE(crc32(body), 4);
      return Buffer.concat([numbers.subarray(0, 4), body, numbers.subarray(4)]);
    };
    const header = Buffer.from('000186a0000186a00802000000', 'hex');
    const start = Buffer.from('89504e470d0a1a0a', 'hex');
    writeFileSync(huge, Buffer.concat([start, chunk('IHDR', header), chunk('IDAT', Buffer.alloc(0))]));
    const cut = join(folder, 'cut.png');
    writeFileSync(cut, readFileSync(join(pictures, 'rgba.png')).subarray(0, 60));
    const paths = [...refused, huge, cut];
    const { found } = await read(paths);
    for (const [at, path] of paths.entries()) {
      await expect(readImage(path)).rejects.toThrow();
      expect([path, found[at]?.rgb]).toEqual([path, undefined]);
      expect(found[at]?.refusal).toMatch(
        /convert it to RGB of 8 bits\.$|more than the 67108864|cannot be read as a picture/,
      );
    }
  });
});
