/**
 * Callers in JavaScript may give anything to the public functions. Each is called with values of all types in the place of every
 * argument, and may throw errors of dino8 only, whose messages are one sentence.
 */
import { join } from 'node:path';
import { describe, expect, test } from 'vitest';
import { Dino8Error } from '../src/base/errors.ts';
import { packageRoot } from '../src/base/package-root.ts';
import { Detector, readImage, readPackage } from '../src/index.ts';
import { GraphBuilder } from '../src/onnx/builder.ts';
import { DataType } from '../src/onnx/types.ts';
import { modelBytes } from '../src/onnx/write.ts';
import { Session } from '../src/runtime/session.ts';

/** Its types are those of browsers, which are not checked here. */
const WEB = '../src/public-web.ts';

const MODULES = {
  '.': await import('../src/index.ts'),
  evaluate: await import('../src/public-evaluate.ts'),
  models: await import('../src/public-models.ts'),
  quant: await import('../src/public-quant.ts'),
  runtime: await import('../src/public-runtime.ts'),
  train: await import('../src/public-train.ts'),
  onnx: await import('../src/public-onnx.ts'),
  autodiff: await import('../src/public-autodiff.ts'),
  web: (await import(WEB)) as Record<string, unknown>,
};

/** Values of all types. A path that does not exist is among them, and none that does. */
const VALUES = [undefined, null, true, 0, -5, 1.5, Number.NaN, '', 'no/such.file', [], [null], {}, new Uint8Array(3)];

/** Functions that take nothing, and those that take functions of TypeScript code alone. */
const isFunction = (value: unknown): value is (...given: unknown[]) => unknown =>
  typeof value === 'function' && !/^class\b/.test(Function.prototype.toString.call(value));

async function failureOf(call: () => unknown): Promise<unknown> {
  try {
    const result = await call();
    // Generators do nothing before they are asked.
    if (typeof result === 'object' && result !== null && Symbol.asyncIterator in result)
      for await (const _ of result as AsyncIterable<unknown>) break;
    return undefined;
  } catch (error) {
    return error;
  }
}

async function checkCalls(name: string, call: (...given: unknown[]) => unknown, count: number): Promise<void> {
  for (const [index, value] of VALUES.entries()) {
    // The same value everywhere, and values of other types beside it.
    const same = Array.from({ length: count }, () => value);
    const mixed = same.map((_, place) => VALUES[(index + 5 * place) % VALUES.length]);
    for (const given of [same, mixed]) {
      const failure = await failureOf(() => call(...given));
      if (failure === undefined) continue;
      expect(failure, `${name}(${given.map((each) => JSON.stringify(each)).join(', ')})`).toBeInstanceOf(Dino8Error);
      expect(String(failure)).not.toMatch(/\n/);
    }
  }
}

/** `examineMachine` takes nothing; `defined` reports a defect of the program that calls it. */
const EXCLUDED = ['examineMachine', 'defined'];

describe.each(Object.entries(MODULES))('dino8/%s', (_, module) => {
  const functions = Object.entries(module).filter(([name, value]) => isFunction(value) && !EXCLUDED.includes(name));
  // Arguments with a default do not count in the length of a function.
  test.each(functions)('%s', async (name, value) => {
    if (isFunction(value)) await checkCalls(name, value, value.length + 1);
  });
});

describe('the methods of', () => {
  test('a detector', async () => {
    const source = await readPackage(join(packageRoot, 'assets/nano'));
    await checkCalls('Detector.create', (...given) => Detector.create(...(given as [never, never])), 2);
    await using detector = await Detector.create(source, { threads: 1 });
    const prompt = await detector.encodePrompt('red circle');
    const image = await readImage(join(packageRoot, 'assets/shapes/val/000082.jpg'));
    for (const name of ['encodePrompt', 'namedPrompt', 'prepare', 'detect', 'rank', 'time'] as const) {
      const method = (...given: unknown[]) => Reflect.apply(detector[name], detector, given);
      await checkCalls(name, method, 3);
    }
    await checkCalls('detect', (...given) => Reflect.apply(detector.detect, detector, [image, ...given]), 3);
    await checkCalls('detect', (...given) => Reflect.apply(detector.detect, detector, [image, prompt, ...given]), 2);
    await checkCalls('rank', (...given) => Reflect.apply(detector.rank, detector, [image, prompt, ...given]), 2);
    for (const sizes of [
      { width: 0, height: 0 },
      { width: 3, height: 2 },
    ])
      await expect(detector.detect({ ...sizes, pixels: new Uint8Array(0) }, prompt)).rejects.toThrow(Dino8Error);
  });

  test('a session', async () => {
    const b = new GraphBuilder('x');
    b.output('y', b.relu(b.input('x', DataType.FLOAT, [1])));
    const bytes = modelBytes(b.finish());
    await checkCalls('Session.create', (...given) => Session.create(...(given as [never, never, never])), 3);
    await checkCalls('Session.create', (options) => Session.create(bytes, options as never), 1);
    await using session = await Session.create(bytes);
    await checkCalls('run', (...given) => session.run(...(given as [never, never])), 2);
  });
});

/** Calls a step as JavaScript does, with anything. */
const call = (step: unknown, options: object): unknown => (isFunction(step) ? step(options) : undefined);

/** The steps of the pipeline. */
function steps() {
  return Object.entries(MODULES['.']).flatMap(([name, value]) =>
    isFunction(value) && /runStep\b/.test(Function.prototype.toString.call(value)) ? [[name, value] as const] : [],
  );
}

test('every step refuses an option that it does not know', async () => {
  expect(steps().length).toBeGreaterThan(15);
  for (const [name, step] of steps()) {
    const failure = await failureOf(() => call(step, { treshold: 0.5 }));
    expect(String(failure), name).toMatch(/^UsageError: \w+ has no option `treshold`/);
  }
});

/** Options by which a step writes a file or a folder, and by which it reads pictures. */
const WRITES = /\b(?:output|report|drawInto|saveDetections)\b/;
const READS_PICTURES = /\b(?:dataset|calibration|images, phrases|profile|image|inputs)\b/;

/** It writes into new folders only. */
const NEVER_OVERWRITES = ['exportOpenVino', 'exportTensorRt', 'exportWeb'];

test('every step that writes takes `overwrite`, and every one that reads pictures `maxPixels`', async () => {
  for (const [name, step] of steps()) {
    const failure = String(await failureOf(() => call(step, { treshold: 0.5 })));
    expect(/\boverwrite\b/.test(failure), failure).toBe(WRITES.test(failure) && !NEVER_OVERWRITES.includes(name));
    if (READS_PICTURES.test(failure)) expect(failure, name).toMatch(/\bmaxPixels\b/);
  }
});

test('every step that takes a signal stops before it begins', async () => {
  const signal = AbortSignal.abort(new Error('enough'));
  for (const [name, step] of steps()) {
    const options = String(await failureOf(() => call(step, { treshold: 0.5 })));
    if (!/\bsignal\b/.test(options)) continue;
    // A step whose other options are missing says so; those that are given are refused later than the signal.
    const given = {
      model: 'x',
      models: ['x'],
      checkpoint: 'x',
      dataset: 'x',
      images: ['x'],
      output: 'x',
      detections: 'x',
      annotations: 'x',
    };
    const others = { quantized: 'x', image: 'x', phrases: 'x', tensorrt: '11', sizes: [320] };
    const known = Object.entries({ ...given, ...others }).filter(([option]) =>
      new RegExp(`\\b${option}\\b`).test(options),
    );
    const asked = Object.fromEntries(known.filter(([option]) => name === 'detect' || option !== 'images'));
    expect(String(await failureOf(() => call(step, { ...asked, signal }))), name).toBe('Error: enough');
  }
});
