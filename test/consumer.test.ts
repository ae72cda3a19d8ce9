/**
 * The packed package as its users have it: installed into an empty TypeScript project outside of the clone, type-checked
 * by the strictest settings, and run. The installation takes the dependencies from the registry, so the tests are skipped
 * where there is none.
 */
import { execFile } from 'node:child_process';
import { mkdir, mkdtemp, readdir, readFile, rm, stat, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { promisify } from 'node:util';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { packageRoot } from '../src/base/package-root.ts';

const run = promisify(execFile);

/** What npm says when it cannot reach the registry. */
const NO_REGISTRY = /ENOTFOUND|EAI_AGAIN|ECONNREFUSED|ETIMEDOUT|ENETUNREACH|ENOTCACHED/;

/** A program that uses the library in TypeScript, with explicit types from all entry points. */
const PROGRAM = `
import { type Detection, Detector, bundledModel, bundledValidation, readDataset, readImage, readPackage, takeImages } from 'dino8';
import { applyRecipe, readRecipe, type Recipe } from 'dino8';
import { differentiate, gradientName } from 'dino8/autodiff';
import { averagePrecision } from 'dino8/evaluate';
import { specialize } from 'dino8/models';
import { DataType, GraphBuilder, type Model, modelBytes } from 'dino8/onnx';
import { planQuantization, type QuantizationPlan } from 'dino8/quant';
import { floatData, floats, Session, type Tensor } from 'dino8/runtime';
import { createTraining, resolveTrainingSettings, type TrainingSettings } from 'dino8/train';

const functions: readonly ((...given: never[]) => unknown)[] = [averagePrecision, createTraining, resolveTrainingSettings, specialize];
const settings: TrainingSettings | undefined = undefined;

// The gradient of sum(x * x) is 2 x.
const b = new GraphBuilder('square');
const x = b.input('x', DataType.FLOAT, [3]);
b.output('loss', b.reduceSum(b.mul(x, x), [0], false));
const gradients: Model = differentiate(b.finish(), { loss: 'loss', parameters: ['x'] });
await using session = await Session.create(modelBytes(gradients));
const input: Tensor = floats(Float32Array.of(1, 2, 3), [3]);
using outputs = await session.run({ x: input });
const gradient = floatData(outputs.get(gradientName('x')));

const model = await readPackage(bundledModel());
const recipe: Recipe = await readRecipe('dynamic');
const plan: QuantizationPlan = planQuantization(model.model, recipe);
const quantized = await applyRecipe(model, recipe);
await using detector = await Detector.create({ ...model, model: quantized.model });
const { categories, images, pathOf } = takeImages(await readDataset(bundledValidation()), 1);
const [image] = images;
if (!image) throw new Error('The data set is empty.');
const prompt = await detector.encodePrompt(categories.map(({ name }) => name));
const found: Detection[] = await detector.detect(await readImage(pathOf(image)), prompt);
console.log(JSON.stringify({
  gradient: [...gradient], entries: plan.entries.length, found: found.length, functions: functions.length, settings,
}));
`;

const CONFIG = {
  compilerOptions: {
    target: 'ES2022',
    lib: ['ES2023', 'ESNext.Disposable'],
    module: 'NodeNext',
    moduleResolution: 'NodeNext',
    types: ['node'],
    strict: true,
    exactOptionalPropertyTypes: true,
    noUncheckedIndexedAccess: true,
    skipLibCheck: false,
    outDir: 'built',
  },
  files: ['use.ts'],
};

let project: string;
let hasRegistry = true;

/** Runs a command in the project and returns its exit code and everything that it printed. */
async function inProject(
  command: string,
  ...args: string[]
): Promise<{ code: number; stdout: string; stderr: string }> {
  const { ONNXRUNTIME_NODE_INSTALL: _, ...env } = process.env; // The documented words must do without it.
  try {
    const { stdout, stderr } = await run(command, args, { cwd: project, env, shell: process.platform === 'win32' });
    return { code: 0, stdout, stderr };
  } catch (error) {
    const { code = 1, stdout = '', stderr = String(error) } = Object(error);
    return { code, stdout, stderr };
  }
}

const install = (...packages: string[]) =>
  inProject('npm', 'install', '--ignore-scripts', '--prefer-offline', '--no-audit', '--no-fund', ...packages);

const nodeCommand = (...args: string[]) => inProject(process.execPath, ...args);
const dino8 = (...args: string[]) => nodeCommand(join('node_modules', 'dino8', 'dist', 'cli.mjs'), ...args);

async function packed(name: string): Promise<string> {
  const file = (await readdir(project)).find((entry) => new RegExp(`^${name}-\\d.*\\.tgz$`).test(entry));
  if (!file) throw new Error(`there is no ${name}-*.tgz`);
  return file;
}

beforeAll(async () => {
  project = await mkdtemp(join(tmpdir(), 'dino8-consumer-'));
  await run(process.execPath, [join(packageRoot, 'scripts', 'package.mjs'), project]);
  const { devDependencies } = JSON.parse(await readFile(join(packageRoot, 'package.json'), 'utf8'));
  await writeFile(join(project, 'package.json'), JSON.stringify({ name: 'consumer', private: true, type: 'module' }));
  await writeFile(join(project, 'tsconfig.json'), JSON.stringify(CONFIG));
  await writeFile(join(project, 'use.ts'), PROGRAM);
  const tools = ['typescript', '@types/node'].map((name) => `${name}@${devDependencies[name]}`);
  const { code, stderr } = await install(`./${await packed('dino8')}`, ...tools);
  if (code !== 0 && NO_REGISTRY.test(stderr)) hasRegistry = false;
  else expect({ code, stderr }).toMatchObject({ code: 0 });
});

afterAll(() => rm(project, { recursive: true, force: true }));

test('the tarball of the library is at most 3 MB', async () => {
  expect((await stat(join(project, await packed('dino8')))).size).toBeLessThanOrEqual(3_000_000);
});

test('the installed command runs, and says in one sentence what the demo needs', async (context) => {
  if (!hasRegistry) context.skip('the registry cannot be reached');
  const { version } = JSON.parse(await readFile(join(packageRoot, 'package.json'), 'utf8'));
  expect(await dino8('--version')).toMatchObject({ code: 0, stdout: `${version}\n` });
  const { code, stderr } = await dino8('demo');
  expect(code).toBe(2);
  expect(stderr).toMatch(/^dino8: [^\n]*npm install dino8-demo-data[^\n]*\n$/);
});

test('a strict TypeScript project type-checks and runs with it', async (context) => {
  if (!hasRegistry) context.skip('the registry cannot be reached');
  // Unpacking is what npm would do with a package that has no dependencies and no scripts, in a tenth of the time.
  const data = join(project, 'node_modules', 'dino8-demo-data');
  await mkdir(data);
  await run('tar', ['-xzf', join(project, await packed('dino8-demo-data')), '-C', data, '--strip-components', '1']);
  expect(await nodeCommand(join('node_modules', 'typescript', 'bin', 'tsc'))).toMatchObject({ code: 0, stdout: '' });
  const { code, stdout, stderr } = await nodeCommand(join('built', 'use.js'));
  expect({ code, stderr }).toMatchObject({ code: 0 });
  const result = JSON.parse(stdout);
  expect(result).toMatchObject({ gradient: [2, 4, 6], functions: 4 });
  expect(result.entries).toBeGreaterThan(0);
  expect(result.found).toBeGreaterThan(0);
});
