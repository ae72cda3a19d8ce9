/** The scripts of a bundle for TensorRT: with a trtexec that takes exactly the options of one version, and without a device. */
import { execFile } from 'node:child_process';
import {
  chmodSync,
  cpSync,
  existsSync,
  mkdirSync,
  mkdtempSync,
  readdirSync,
  readFileSync,
  rmSync,
  writeFileSync,
} from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { packageRoot } from '../src/base/package-root.ts';
import { encodeImage } from '../src/data/encode-image.ts';
import { readImage } from '../src/data/image.ts';
import { Preprocessor } from '../src/data/preprocess.ts';
import { detectionOf } from '../src/models/family.ts';
import { readFixedPrompts } from '../src/models/fixed-prompt.ts';
import { writeSmallCheckpoint } from '../src/models/grounding-dino/testing/small-checkpoint.ts';
import { readPackage } from '../src/models/package/package.ts';
import { detect } from '../src/pipeline/detect-step.ts';
import { exportTensorRt } from '../src/pipeline/tensorrt/export-tensorrt.ts';
import { findTensorRtVersion } from '../src/quant/targets/tensorrt/versions.ts';
import { Session } from '../src/runtime/session.ts';
import { floatData } from '../src/runtime/tensor.ts';
import type { Result } from './run-cli.ts';

const templates = join(packageRoot, 'bundles/tensorrt');
const folder = mkdtempSync(join(tmpdir(), 'dino8-bundle-'));
afterAll(() => rmSync(folder, { recursive: true }));

/** Runs a program; never rejects. */
function run(program: string, args: readonly string[], env: Readonly<Record<string, string>> = {}): Promise<Result> {
  return new Promise((resolve) => {
    execFile(program, [...args], { env: { ...process.env, ...env } }, (error, stdout, stderr) => {
      const code = typeof error?.code === 'number' ? error.code : error ? -1 : 0;
      resolve({ code, stdout, stderr });
    });
  });
}

const works = async (program: string, ...args: string[]) => (await run(program, args)).code === 0;

/** A folder of programs, of which each runs the fake of its name. Its path has what shells take for something else. */
const programs = join(folder, `it's a "$(touch hacked)" folder`);
const trtexec = join(programs, 'trtexec');

/** A bundle without models, for the scripts that read no more than its list of engines. */
function bundle(name: string, tensorrt: string, settings = 'precision int8\ntyping weak'): string {
  const path = join(folder, `a 'bundle' $(touch hacked) ${name}`);
  cpSync(templates, path, { recursive: true });
  const engines = [
    'engine 320x320 model.320x320.onnx - - -',
    'engine 640x640 model.onnx - - -',
    'engine any model.any.onnx 1x3x320x320 1x3x640x640 1x3x640x640',
  ];
  writeFileSync(
    join(path, 'engines.txt'),
    [`tensorrt ${tensorrt}`, settings, 'input pixels', ...engines, ''].join('\n'),
  );
  for (const model of ['model.onnx', 'model.320x320.onnx', 'model.any.onnx']) writeFileSync(join(path, model), '');
  return path;
}

beforeAll(() => {
  mkdirSync(programs);
  const fake = join(packageRoot, 'test/fixtures/trtexec/trtexec.mjs');
  writeFileSync(trtexec, `#!/bin/sh\nexec '${process.execPath}' '${fake}' "$@"\n`);
  writeFileSync(join(programs, 'nvpmodel'), '#!/bin/sh\necho "NV Power Mode: MAXN"\necho 0\n');
  writeFileSync(
    join(programs, 'tegrastats'),
    '#!/bin/sh\necho "RAM 2345/7620MB (lfb 4x4MB) GR3D_FREQ 12% VDD_GPU_SOC 1234mW/1234mW"\necho "RAM 2999/7620MB GR3D_FREQ 97% VDD_GPU_SOC 4321mW/2000mW"\nexec sleep 60\n',
  );
  for (const name of readdirSync(programs)) chmodSync(join(programs, name), 0o755);
});

const VERSIONS = ['8.5', '8.6', '10.3', '11'];
const typing = (version: string) => `precision int8\ntyping ${version.startsWith('8') ? 'weak' : 'strong'}`;

describe.each(VERSIONS)('with the trtexec of TensorRT %s', (version) => {
  test('engines are built and measured', async () => {
    const path = bundle(`of ${version}`, version, typing(version));
    const env = { FAKE_TENSORRT: version, PATH: `${programs}:${process.env.PATH}` };
    const built = await run('bash', [join(path, 'build.sh'), '320x320', '640x640', 'any'], env);
    expect(built).toMatchObject({ code: 0, stderr: '' });
    expect(readdirSync(join(path, 'engines')).filter((name) => !name.endsWith('.log'))).toEqual([
      '320x320.engine',
      '640x640.engine',
      'any.engine',
    ]);
    const flags: string[] = JSON.parse(readFileSync(join(path, 'engines/any.engine'), 'utf8'));
    expect(flags).toContain(`--onnx=${join(path, 'model.any.onnx')}`);
    expect(flags).toContain('--maxShapes=pixels:1x3x640x640');
    expect(flags.includes('--int8')).toBe(version.startsWith('8'));
    expect(flags.includes('--stronglyTyped')).toBe(version === '10.3');

    const measured = await run('bash', [join(path, 'bench.sh'), '--duration', '1'], env);
    expect(measured.code, measured.stderr).toBe(0);
    expect(JSON.parse(readFileSync(join(path, 'engines/bench.json'), 'utf8'))).toMatchObject({
      power_mode: 'NV Power Mode: MAXN 0',
      tensorrt: version === '11' ? '11.1' : version,
      engines: ['320x320', '640x640', 'any'].map((engine) => ({
        engine,
        median_ms: 10.75,
        min_ms: 10.25,
        max_ms: 14.5,
        ram_peak_mb: 2999,
        gpu_use_peak_percent: 97,
        power_rail: 'VDD_GPU_SOC',
        power_peak_mw: 4321,
      })),
    });
    expect(existsSync('hacked') || existsSync(join(path, 'hacked'))).toBe(false);
  });

  test('a bundle for another version is refused, with the version to export for', async () => {
    for (const other of VERSIONS.filter((each) => each !== version && !(version === '8.6' && each === '8.5'))) {
      const path = bundle(`${other} on ${version}`, other);
      const { code, stderr } = await run('bash', [join(path, 'build.sh'), '--trtexec', trtexec], {
        FAKE_TENSORRT: version,
      });
      expect(code).toBe(1);
      expect(stderr).toMatch(
        new RegExp(`for TensorRT ${other} and the device has .*--tensorrt ${version.replace('.', '\\.')}`),
      );
    }
  });
});

/** The versions of the boards (https://docs.nvidia.com/jetson/jetpack), as trtexec prints them. */
test.each([
  ['8.5.2', '8502'],
  ['8.6.2', '8602'],
  ['10.3.0', '100300'],
  ['10.7', '100700'],
  ['10.13.3', '101303'],
  ['11.2', '110200'],
])('build.sh takes the bundle that export writes for TensorRT %s', async (asked, printed) => {
  const { name, stronglyTyped } = findTensorRtVersion(asked);
  const path = bundle(`for ${asked}`, name, `precision int8\ntyping ${stronglyTyped ? 'strong' : 'weak'}`);
  const args = [join(path, 'build.sh'), '--dry-run', '--trtexec', trtexec];
  expect(await run('bash', args, { FAKE_TENSORRT: printed })).toMatchObject({ code: 0, stderr: '' });
});

test.each(['8.5', '8.6'])('the command of implicit quantization is taken by TensorRT %s', async (version) => {
  const path = bundle(`by hand ${version}`, version);
  const args = ['--onnx=model.onnx', '--saveEngine=e', '--int8', '--calib=calibration.cache', '--workspace=1024'];
  const { code, stderr } = await run('bash', ['-c', 'cd "$1" && shift && exec "$@"', '-', path, trtexec, ...args], {
    FAKE_TENSORRT: version,
  });
  expect([code, stderr]).toEqual([0, '']);
});

describe('build.sh', () => {
  test('prints what it would run, and the commands can be run as they are printed', async () => {
    const path = bundle('to print', '8.5');
    const env = { FAKE_TENSORRT: '8.5' };
    const printed = await run('bash', [join(path, 'build.sh'), '--dry-run', '--fp16', '--trtexec', trtexec], env);
    expect(printed.code, printed.stderr).toBe(0);
    expect(printed.stdout.trim().split('\n')).toHaveLength(2);
    expect(existsSync(join(path, 'engines'))).toBe(false);
    mkdirSync(join(path, 'engines'));
    const done = await run('bash', ['-c', printed.stdout], env);
    expect(done.code, done.stdout + done.stderr).toBe(0);
    expect(readFileSync(join(path, 'engines/640x640.engine.partial'), 'utf8')).toContain('--fp16');
  });

  test('leaves no engine behind when trtexec fails, and shows its last lines', async () => {
    const path = bundle('that fails', '8.6');
    const env = { FAKE_TENSORRT: '8.6', FAKE_TRTEXEC_FAILS: '1' };
    const { code, stderr } = await run('bash', [join(path, 'build.sh'), '--trtexec', trtexec], env);
    expect(code).toBe(1);
    expect(stderr).toMatch(/Engine could not be created[\s\S]*trtexec did not build 320x320; the whole log is/);
    expect(readdirSync(join(path, 'engines'))).toEqual(['320x320.log']);
  });

  test.each<[string, string[], Record<string, string>, number, RegExp]>([
    [
      'no trtexec',
      [],
      { PATH: '/usr/bin:/bin', JETPACK_TRTEXEC: '/nowhere' },
      1,
      /trtexec is neither in PATH nor at \/nowhere; install it/,
    ],
    ['a program that is not there', ['--trtexec', '/nowhere/trtexec'], {}, 1, /\/nowhere\/trtexec is not a program/],
    ['a program that is no trtexec', ['--trtexec', '/bin/true'], {}, 1, /does not say which version/],
    [
      'an unknown version',
      ['--trtexec', trtexec],
      { FAKE_TENSORRT: '120000' },
      1,
      /has TensorRT 12\.0, which this script does not know/,
    ],
    [
      'an old version',
      ['--trtexec', trtexec],
      { FAKE_TENSORRT: '7203' },
      1,
      /has TensorRT 7\.2, which this script does not know/,
    ],
    [
      'an unknown engine',
      ['--trtexec', trtexec, '800x800'],
      { FAKE_TENSORRT: '8.6' },
      2,
      /no engine 800x800; there are 320x320 640x640 any/,
    ],
    ['an unknown option', ['--fast'], {}, 2, /no option --fast/],
    ['an option without a value', ['--output'], {}, 2, /--output needs a value/],
    ['a workspace that is no number', ['--workspace', '1GB'], {}, 2, /--workspace must be a number of MiB, not 1GB/],
  ])('says what is wrong: %s', async (name, args, env, expected, message) => {
    const path = bundle(name, '8.6');
    const { code, stderr } = await run('bash', [join(path, 'build.sh'), ...args], env);
    expect([code, stderr]).toEqual([expected, expect.stringMatching(message)]);
    expect(stderr.trim().split('\n')).toHaveLength(1);
  });

  test('--fp16 is refused where the types of the file decide', async () => {
    const path = bundle('of strong types', '10.3', typing('10.3'));
    const { code, stderr } = await run('bash', [join(path, 'build.sh'), '--fp16', '--trtexec', trtexec], {
      FAKE_TENSORRT: '10.3',
    });
    expect([code, stderr]).toEqual([2, expect.stringMatching(/--fp16 is for TensorRT 8/)]);
  });

  test.each([
    ['of another form', 'speed 3', /begins with speed/],
    ['with a name that leaves the folder', 'engine ../../x model.onnx - - -', /names an engine \.\.\/\.\.\/x/],
  ])('refuses a list of engines %s', async (name, line, message) => {
    const path = bundle(name, '8.6', line);
    const { code, stderr } = await run('bash', [join(path, 'build.sh'), '--trtexec', trtexec]);
    expect([code, stderr]).toEqual([1, expect.stringMatching(message)]);
  });
});

test('bench.sh refuses names of engines that there are not, and does not leave them out', async () => {
  const path = bundle('without that engine', '8.6');
  const args = [join(path, 'bench.sh'), '--trtexec', trtexec, '640x640', '800x800'];
  const { code, stderr } = await run('bash', args, { FAKE_TENSORRT: '8.6' });
  expect([code, stderr]).toEqual([2, expect.stringMatching(/no engine 800x800; there are 320x320 640x640 any\.$/m)]);
});

test('bench.sh says when there is no engine', async () => {
  const path = bundle('not built', '8.6');
  const { code, stderr } = await run('bash', [join(path, 'bench.sh'), '--trtexec', trtexec], { FAKE_TENSORRT: '8.6' });
  expect([code, stderr]).toEqual([1, expect.stringMatching(/there is no engine in .*; build one with bash build\.sh/)]);
});

test.skipIf(!(await works('shellcheck', '--version')))('shellcheck finds nothing in the shell scripts', async () => {
  const scripts = readdirSync(templates).filter((name) => name.endsWith('.sh'));
  const paths = scripts.map((name) => join('bundles/tensorrt', name));
  const { code, stdout } = await run('shellcheck', [
    '-x',
    '-P',
    packageRoot,
    ...paths.map((path) => join(packageRoot, path)),
  ]);
  expect([code, stdout]).toEqual([0, '']);
});

const python = process.env.PYTHON ?? 'python3';

const pythonScripts = ['python', 'text', 'openvino', 'tensorrt'].flatMap((name) => {
  const path = join(packageRoot, 'bundles', name);
  return readdirSync(path)
    .filter((script) => script.endsWith('.py'))
    .map((script) => join(path, script));
});

test.skipIf(!(await works(python, '--version')))('the Python scripts are valid, and short', async () => {
  expect(pythonScripts.length).toBeGreaterThan(3);
  const check = 'import ast, sys; [ast.parse(open(path).read(), feature_version=(3, 8)) for path in sys.argv[1:]]';
  expect(await run(python, ['-c', check, ...pythonScripts])).toEqual({ code: 0, stdout: '', stderr: '' });
  for (const script of pythonScripts) expect(readFileSync(script, 'utf8').split('\n').length).toBeLessThan(120);
});

const hasOnnxRuntime = await works(python, '-c', 'import onnxruntime');
const hasTensorRt = await works(python, '-c', 'import tensorrt');
const PHRASES = ['red circle', 'blue square', 'green triangle'];
/** A picture without loss, since decoders of JPEG differ. */
const picture = join(folder, 'picture.png');

describe.skipIf(!(await works(python, '-c', 'import numpy, PIL')))('run.py', () => {
  let path = '';
  beforeAll(async () => {
    path = join(folder, 'of the bundled model');
    const model = join(packageRoot, 'assets/nano');
    const photo = await readImage(join(packageRoot, 'assets/shapes/val/000082.jpg'));
    writeFileSync(picture, await encodeImage(photo, 'png'));
    await exportTensorRt({
      model,
      output: path,
      tensorrt: '8.6',
      sizes: [{ height: 192, width: 256 }, 320],
      phrases: PHRASES,
    });
  });
  const inFolder = async (script: string) => {
    const { code, stdout, stderr } = await run(python, [
      '-c',
      `import sys; sys.path.insert(0, sys.argv[1])\n${script}`,
      path,
      picture,
    ]);
    expect(code, stderr).toBe(0);
    return JSON.parse(stdout);
  };

  test('build.sh takes the list of engines that dino8 wrote', async () => {
    const env = { FAKE_TENSORRT: '8.6' };
    const built = await run('bash', [join(path, 'build.sh'), '--dry-run', '--trtexec', trtexec], env);
    expect(built).toMatchObject({ code: 0, stderr: '' });
    const models = [...built.stdout.matchAll(/model[0-9a-z.]*\.onnx/g)].map(([name]) => name);
    expect(models.toSorted()).toEqual(['model.320x320.onnx', 'model.onnx', 'model.plugin.onnx']);
  });

  test('prepares pictures as dino8 does', async () => {
    const size = { height: 320, width: 320 };
    const { preprocessing } = await readPackage(join(path, 'model.320x320.onnx'));
    await using preprocessor = await Preprocessor.create(preprocessing);
    const { pixelValues } = await preprocessor.prepare([await readImage(picture)]);
    const values = floatData(pixelValues);
    const found = await inFolder(`
import json
from PIL import Image
from detection import BUNDLE, prepare
image = Image.open(sys.argv[2])
pixels = prepare(image, BUNDLE["preprocessing"], {"height": 320, "width": 320})
print(json.dumps({"shape": pixels.shape, "values": pixels.ravel()[::997].tolist()}))`);
    expect(found.shape).toEqual([1, 3, size.height, size.width]);
    for (const [at, value] of (found.values as number[]).entries())
      expect(Math.abs(value - (values[at * 997] ?? Number.NaN))).toBeLessThan(1e-5);
  });

  test.skipIf(hasTensorRt)('says in a sentence that there is no TensorRT', async () => {
    const { code, stdout, stderr } = await run(python, [join(path, 'run.py'), picture]);
    expect([code, stdout]).toEqual([1, '']);
    expect(stderr).toMatch(/^This Python \(.*\) does not have tensorrt; JetPack installs it.*\n$/);
  });

  test.skipIf(!hasOnnxRuntime)('and compare.py find the boxes that dino8 finds', async () => {
    const compared = await run(python, [join(path, 'compare.py'), '--onnx']);
    expect(compared.stdout, compared.stderr).toMatch(/^(\d+) of the \1 boxes/);
    const found = await inFolder(`
import json
from PIL import Image
from detection import detector, prompts
from compare import OnnxRuntime
detect = detector(OnnxRuntime(sys.argv[1] + "/model.onnx"), "192x256", prompts(None, None))
print(json.dumps(detect(Image.open(sys.argv[2]), 0.3)))`);
    const [expected] = await detect({ model: join(path, 'model.onnx'), images: [picture], threshold: 0.3 });
    const { width, height } = await readImage(picture);
    expect(found).toHaveLength(expected?.detections.length ?? -1);
    for (const [at, { phrase, score, box }] of (expected?.detections ?? []).entries()) {
      expect(found[at].phrase).toBe(phrase);
      expect(Math.abs(found[at].score - score)).toBeLessThan(1e-4);
      for (const [side, value] of box.entries())
        expect(Math.abs(found[at].box[side] * (side % 2 ? height : width) - value)).toBeLessThan(0.05);
    }
  });
});

const compiler = process.env.CXX ?? 'c++';
const hasCompiler = await works(compiler, '--version');

describe.skipIf(!hasCompiler || hasTensorRt || !(await works(python, '-c', 'import numpy, PIL')))(
  'run.py with a stand-in for TensorRT',
  () => {
    const stub = join(packageRoot, 'test/fixtures/tensorrt-python');
    const libraries = join(folder, 'libraries');
    const path = join(folder, 'of the bundled model');
    const engines = join(folder, 'engines of run.py');
    const inputFile = join(folder, 'input of run.py.bin');
    const tensors: object[] = [
      { name: 'pixel_values', mode: 'INPUT', type: 'FLOAT', shape: [1, 3, 192, 256], file: inputFile },
    ];
    beforeAll(async () => {
      mkdirSync(libraries);
      mkdirSync(engines);
      const library = ['-x', 'c', '-shared', '-fPIC', join(stub, 'cudart.c'), '-o', join(libraries, 'libcudart.so')];
      expect(await run(compiler, library)).toMatchObject({ code: 0, stderr: '' });
      const source = await readPackage(join(path, 'model.onnx'));
      await using preprocessor = await Preprocessor.create(source.preprocessing, 1);
      const { pixelValues } = await preprocessor.prepare([await readImage(picture)]);
      await using session = await Session.create(source.model, { threads: 1 });
      using outputs = await session.run({ pixel_values: pixelValues });
      for (const name of ['logits', 'pred_boxes']) {
        const { data, shape } = outputs.get(name);
        const file = join(folder, `${name} of run.py.bin`);
        writeFileSync(file, new Uint8Array(data.buffer, data.byteOffset, data.byteLength));
        tensors.push({ name, mode: 'OUTPUT', type: 'FLOAT', shape, file });
      }
    });
    /** Runs run.py with an engine of these tensors. */
    const runWith = (engine: object) => {
      writeFileSync(join(engines, '192x256.engine'), JSON.stringify(engine));
      const args = [join(path, 'run.py'), '--engines', engines, '--size', '192x256', '--threshold', '0.3', picture];
      return run(python, args, { PYTHONPATH: stub, LD_LIBRARY_PATH: libraries });
    };
    const withChanged = (name: string, change: object) =>
      tensors.map((each) => ('name' in each && each.name === name ? { ...each, ...change } : each));

    test('finds what dino8 finds', async () => {
      const { code, stdout, stderr } = await runWith({ tensors });
      expect([code, stderr]).toEqual([0, '']);
      const { detections } = JSON.parse(stdout);
      const [expected] = await detect({ model: join(path, 'model.onnx'), images: [picture], threshold: 0.3 });
      expect(detections).toHaveLength(expected?.detections.length ?? -1);
      expect(detections.length).toBeGreaterThan(1);
      for (const [at, { label, score, box }] of (expected?.detections ?? []).entries()) {
        expect(detections[at].label).toBe(label);
        expect(Math.abs(detections[at].score - score)).toBeLessThan(1e-4);
        for (const [side, value] of box.entries())
          expect(Math.abs(detections[at].box[side] - value)).toBeLessThan(0.05);
      }
    });

    test.each<[string, () => object, RegExp]>([
      [
        'an engine of another size',
        () => ({ tensors: withChanged('pixel_values', { shape: [1, 3, 320, 320] }) }),
        /192x256\.engine does not take pixel_values of 1x3x192x256, so it is of another size or bundle/,
      ],
      [
        'an engine with another input',
        () => ({ tensors: withChanged('pixel_values', { name: 'images' }) }),
        /was built of another bundle, which has other inputs/,
      ],
      [
        'an engine with other results',
        () => ({ tensors: withChanged('logits', { name: 'scores' }) }),
        /has no result logits, so it is of another bundle/,
      ],
      [
        'an engine of another type',
        () => ({ tensors: withChanged('pixel_values', { type: 'BF16' }) }),
        /has pixel_values in BF16, which the models of dino8 do not have/,
      ],
      [
        'too little memory',
        () => ({ tensors, has_memory: false }),
        /TensorRT does not run .*192x256\.engine; is the device out of memory\?/,
      ],
    ])('says in a sentence what is wrong: %s', async (_, engine, message) => {
      const { code, stdout, stderr } = await runWith(engine());
      expect([code, stdout, stderr]).toEqual([1, '', expect.stringMatching(message)]);
      expect(stderr.trim().split('\n')).toHaveLength(1);
    });
  },
);

describe.skipIf(!hasCompiler)('detect.cpp', () => {
  const headers = join(packageRoot, 'test/fixtures/tensorrt-headers');
  const program = join(folder, 'detect');
  const path = join(folder, 'for detect');
  const ppm = join(folder, 'picture.ppm');
  const photo = join(packageRoot, 'assets/shapes/val/000082.jpg');
  const compile = (...options: string[]) =>
    run(compiler, [
      '-std=c++17',
      '-Wall',
      '-Wextra',
      '-Werror',
      '-I',
      headers,
      join(templates, 'detect.cpp'),
      ...options,
    ]);
  const engine = join(folder, 'stub.engine');
  const inputFile = join(folder, 'input.bin');
  beforeAll(async () => {
    expect(await compile('-o', program)).toMatchObject({ code: 0, stderr: '' });
    const { width, height, pixels } = await readImage(photo);
    writeFileSync(ppm, Buffer.concat([Buffer.from(`P6\n# a comment\n${width} ${height}\n255\n`), pixels]));
    const model = await writeSmallCheckpoint(join(folder, 'small'));
    await exportTensorRt({
      model,
      output: path,
      tensorrt: '8.6',
      sizes: [96],
      phrases: ['red circle', { exact: 'a "quoted" square' }],
      threads: 1,
    });
  });

  test('compiles with the 32-bit dimensions of TensorRT 8', async () => {
    expect(await compile('-fsyntax-only', '-DSTUB_DIMENSION=std::int32_t')).toMatchObject({ code: 0, stderr: '' });
  });

  test('prepares pictures as dino8 does, and makes the same boxes of the results of the engine', async () => {
    const source = await readPackage(join(path, 'model.onnx'));
    await using preprocessor = await Preprocessor.create(source.preprocessing, 1);
    const { pixelValues } = await preprocessor.prepare([await readImage(photo)]);
    await using session = await Session.create(source.model, { threads: 1 });
    using outputs = await session.run({ pixel_values: pixelValues });
    const lines = [`input pixel_values ${inputFile} 1 3 96 96`];
    for (const name of ['logits', 'pred_boxes']) {
      const { data, shape } = outputs.get(name);
      const file = join(folder, `${name}.bin`);
      writeFileSync(file, new Uint8Array(data.buffer, data.byteOffset, data.byteLength));
      lines.push(`output ${name} ${file} ${shape.join(' ')}`);
    }
    writeFileSync(engine, lines.join('\n'));
    const settings = join(folder, 'detect.txt');
    const own = readFileSync(join(path, 'detect.txt'), 'utf8');
    writeFileSync(settings, own.replace(/^threshold .*$/m, 'threshold 0.05'));
    const { code, stdout, stderr } = await run(program, [engine, settings, ppm]);
    expect([code, stderr]).toEqual([0, '']);

    const bytes = new Uint8Array(readFileSync(inputFile));
    const pixels = new Float32Array(bytes.buffer);
    const differences = floatData(pixelValues).map((value, at) => Math.abs(value - (pixels[at] ?? Number.NaN)));
    expect(differences.length).toBe(pixels.length);
    expect(Math.max(...differences)).toBeLessThan(1e-5);

    const chunk = readFixedPrompts(source.model)[0]?.chunk ?? { tokens: [], phrases: [] };
    const expected = detectionOf(source).groundedBoxes(outputs, chunk, await readImage(photo), 0.05);
    const { detections } = JSON.parse(stdout);
    expect(detections.length).toBe(expected.length);
    expect(expected.length).toBeGreaterThan(1);
    for (const [at, { phrase, score, box }] of expected.entries()) {
      expect(detections[at].label).toBe(['red circle', 'a "quoted" square'][phrase]);
      expect(Math.abs(detections[at].score - score)).toBeLessThan(1e-5);
      for (const [side, value] of box.entries()) expect(Math.abs(detections[at].box[side] - value)).toBeLessThan(0.01);
    }
  });

  test.each([
    [
      'a picture of another format',
      () => [engine, join(path, 'detect.txt'), join(packageRoot, 'assets/shapes/val/000082.jpg')],
      /no binary PPM file/,
    ],
    [
      'a picture that asks for much memory',
      () => {
        const large = join(folder, 'large.ppm');
        writeFileSync(large, 'P6 32768 32768 255\n');
        return [engine, join(path, 'detect.txt'), large];
      },
      /has more than 67,108,864 pixels/,
    ],
    ['an engine of another device', () => [ppm, join(path, 'detect.txt'), ppm], /is no engine for this device/],
    [
      'an engine that is not there',
      () => ['/nowhere.engine', join(path, 'detect.txt'), ppm],
      /cannot be read; build it/,
    ],
    ['settings that are damaged', () => [engine, ppm, ppm], /has the unknown setting P6/],
    [
      'results of 16 bits',
      () => {
        const halves = join(folder, 'halves.engine');
        writeFileSync(halves, readFileSync(engine, 'utf8').replace(/^output logits/m, 'half logits'));
        return [halves, join(path, 'detect.txt'), ppm];
      },
      /has logits in another type than floats of 32 bits/,
    ],
    [
      'an engine for two pictures',
      () => {
        const two = join(folder, 'two.engine');
        writeFileSync(two, readFileSync(engine, 'utf8').replace(/^(input .*) 1 3 96 96$/m, '$1 2 3 96 96'));
        return [two, join(path, 'detect.txt'), ppm];
      },
      /has no input pixel_values of one picture/,
    ],
  ])('says what is wrong: %s', async (_, args, message) => {
    const { code, stdout, stderr } = await run(program, args());
    expect([code, stdout]).toEqual([1, '']);
    expect(stderr).toMatch(message);
  });
});
