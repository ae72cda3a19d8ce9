/** The kernel library: that it is built, which instruction sets it has, and that its constants are those of TypeScript. */
import { execFile } from 'node:child_process';
import { createHash } from 'node:crypto';
import { mkdtemp, readFile, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { promisify } from 'node:util';
import { afterEach, beforeEach, describe, expect, test } from 'vitest';
import { UsageError } from '../base/errors.ts';
import { packageRoot, packageVersion } from '../base/package-root.ts';
import { GraphBuilder } from '../onnx/builder.ts';
import * as operators from '../onnx/dino8-operators.ts';
import { DOMAIN, OBSERVE } from '../onnx/dino8-operators.ts';
import { DataType } from '../onnx/types.ts';
import { modelBytes } from '../onnx/write.ts';
import { BINS_PER_SIDE, MINIMUM_EXPONENT } from '../quant/observe/histogram.ts';
import { COUNTERS, observeFunction } from '../quant/observe/observe-function.ts';
import { hasKernelPath, hasKernels, KERNEL_PATHS, withKernels, withTrainingKernels } from '../testing/kernels.ts';
import { RuntimeError } from './error.ts';
import { kernelCpuPath, kernelCpuPaths, kernelLibrary, libraryProblem, TRAINING_ENTRY } from './kernels.ts';
import type { SessionOptions } from './options.ts';
import { profileRun } from './profile.ts';
import { Session } from './session.ts';
import { booleans, floatData, floats } from './tensor.ts';

/** Operators that run by their function bodies alone. */
const WITHOUT_KERNEL = [operators.GELU_GRADIENT];

afterEach(() => {
  delete process.env.DINO8_KERNEL_PATH;
});

test.skipIf(process.env.DINO8_NO_KERNELS)(
  'the library of the current sources is built if there is a compiler',
  async () => {
    await promisify(execFile)(process.execPath, [join(packageRoot, 'kernels', 'check.mjs')]);
  },
);

test('the constants of the library are those of TypeScript', async () => {
  const header = await readFile(join(packageRoot, 'kernels', 'operator_names.h'), 'utf8');
  const strings = [...header.matchAll(/const char\* \w+ =\s*"(.*?)"/g)].map(([, text]) => text);
  const { DOMAIN, ...names } = { ...operators, TRAINING_ENTRY };
  const gradient = `${operators.DEFORMABLE_ATTENTION}Gradient_value_sampling_offsets_attention_logits`;
  const kept = Object.values(names).filter((name) => !WITHOUT_KERNEL.includes(name));
  expect(strings.toSorted()).toEqual([DOMAIN, gradient, ...kept].toSorted());
  const numbers = Object.fromEntries(
    [...header.matchAll(/(\w+) = (-?\d+);/g)].map(([, key, value]) => [key, Number(value)]),
  );
  expect(numbers).toEqual({ kBinsPerSide: BINS_PER_SIDE, kMinimumExponent: MINIMUM_EXPONENT });
});

describe.runIf(hasKernels)('the instruction set', () => {
  const model = () => {
    const b = new GraphBuilder('one addition');
    b.output('y', b.add(b.input('x', DataType.FLOAT, ['n']), 1));
    return modelBytes(b.finish());
  };
  const library = kernelLibrary() ?? '';

  test('is the fastest one of the machine unless another one is named', () => {
    const [fastest] = kernelCpuPaths(library);
    expect(kernelCpuPath(library)).toBe(fastest);
    process.env.DINO8_KERNEL_PATH = '';
    expect(kernelCpuPath(library)).toBe(fastest);
    expect(kernelCpuPaths(library).at(-1)).toBe('scalar');
  });

  for (const path of KERNEL_PATHS) {
    test.runIf(hasKernelPath(path))(`${path} is in use where it is named`, () => {
      process.env.DINO8_KERNEL_PATH = path;
      expect(kernelCpuPath(library)).toBe(path);
    });

    test.skipIf(hasKernelPath(path))(`${path} is refused, since this machine does not have it`, async () => {
      process.env.DINO8_KERNEL_PATH = path;
      await expect(Session.create(model(), withKernels)).rejects.toThrow(UsageError);
    });
  }

  test('is refused with one sentence that lists those of the machine if it is unknown', async () => {
    process.env.DINO8_KERNEL_PATH = 'avx-512';
    const failure = await Session.create(model(), withKernels).catch((error: unknown) => error);
    expect(failure).toBeInstanceOf(UsageError);
    expect(String(failure)).toContain(
      `"avx-512", but the kernels on this machine run by ${kernelCpuPaths(library).join(', ')}`,
    );
  });
});

describe.runIf(hasKernels)('subnormal numbers', () => {
  const SUBNORMAL = 1e-40;
  const flushSubnormals = kernelLibrary();
  const isX86 = process.arch === 'x64';

  /** What 65,536 subnormal numbers times 1 are: enough for all threads of a session. */
  async function products(options: SessionOptions): Promise<Set<number>> {
    const b = new GraphBuilder('product');
    b.output('y', b.mul(b.input('x', DataType.FLOAT, ['n']), b.input('one', DataType.FLOAT, [])));
    await using session = await Session.create(modelBytes(b.finish()), { threads: 4, ...options });
    const x = floats(new Float32Array(65536).fill(SUBNORMAL), [65536]);
    using outputs = await session.run({ x, one: floats(Float32Array.of(1), []) });
    return new Set(floatData(outputs.get('y')));
  }

  test('are zero on all threads of a session that flushes them, and are kept by others before and after it', async () => {
    const kept = new Set([Math.fround(SUBNORMAL)]);
    expect(await products({})).toEqual(kept);
    for (let run = 0; run < 8; run++) expect(await products({ flushSubnormals })).toEqual(isX86 ? new Set([0]) : kept);
    // The pool of libuv has four threads by default: eight calls meet all that were set.
    const others = await Promise.all(Array.from({ length: 8 }, () => products({})));
    for (const other of others) expect(other).toEqual(kept);
    expect(SUBNORMAL * 1e-200).toBe(1e-240); // and this thread computes as before
    expect(5e-324 * 1).toBeGreaterThan(0);
  });
});

describe.runIf(hasKernels)('a library that does not work', () => {
  const library = kernelLibrary() ?? '';
  let folder: string;
  let count = 0;
  beforeEach(async () => {
    folder = await mkdtemp(join(tmpdir(), 'dino8-library-'));
  });
  afterEach(() => rm(folder, { recursive: true }));

  /** Why a library of these bytes is not used, with a record that fits them unless it is changed. */
  async function problemOf(bytes: Uint8Array, change: (record: Record<string, string>) => void = () => {}) {
    // Never the same file twice: a library that is loaded must not be written to.
    const path = join(folder, `${++count}.so`);
    const record = { version: packageVersion(), sha256: createHash('sha256').update(bytes).digest('hex') };
    change(record);
    await writeFile(path, bytes);
    await writeFile(`${path}.json`, JSON.stringify(record));
    return libraryProblem(path);
  }

  test('is told from one that works, and is never loaded where it is damaged', async () => {
    const bytes = await readFile(library);
    expect(await problemOf(bytes)).toBeUndefined();
    const { sha256 } = JSON.parse(await readFile(`${library}.json`, 'utf8'));
    const asBuilt = (record: Record<string, string>) => Object.assign(record, { sha256 });
    expect(await problemOf(bytes.subarray(0, bytes.length / 2), asBuilt)).toBe('the file is damaged or incomplete');
    expect(await problemOf(bytes, (record) => Object.assign(record, { version: '0.0.1' }))).toMatch(
      /^it was built for dino8 0\.0\.1, not /,
    );
    // The header of an ELF file names the machine in its bytes 18 and 19; 0xf3 is RISC-V.
    expect(await problemOf(bytes.with(18, 0xf3))).toMatch(/^it does not load on this machine \(/);
    expect(await problemOf(new TextEncoder().encode('no library'))).toMatch(/^it does not load on this machine \(/);
    expect(libraryProblem(join(folder, 'none.so'))).toMatch(/^the record of its build is not beside it/);
  });
});

describe.runIf(hasKernels)('a model of a stranger', () => {
  /** A model with a node Observe, as dino8's function or, without it, as an operator that must be in the library. */
  function observing(hasBody: boolean): Uint8Array {
    const b = new GraphBuilder('stranger');
    if (hasBody) b.define(observeFunction());
    const valid = b.input('valid', DataType.BOOL, [1]);
    const x = b.input('x', DataType.FLOAT, ['n', 4]);
    const [counts] = b.call(DOMAIN, OBSERVE, [x, valid, b.scalar(Number.POSITIVE_INFINITY)], {}, 4);
    if (counts) b.output('counts', counts, [COUNTERS]);
    return modelBytes(b.finish());
  }
  const feeds = {
    x: floats(Float32Array.of(1, 2, Number.POSITIVE_INFINITY, Number.NEGATIVE_INFINITY), [1, 4]),
    valid: booleans(Uint8Array.of(1), [1]),
  };

  test('does not reach the operators of calibration and training', async () => {
    await expect(Session.create(observing(false), withKernels)).rejects.toThrow(RuntimeError);
    const nodes = await profileRun(observing(true), withKernels, feeds);
    expect(nodes.map(({ operator }) => operator)).not.toContain(OBSERVE);
  });

  test.each([
    ['the body', {}],
    ['the kernel', withTrainingKernels],
  ])('counts no infinite number, whatever its limit is: %s', async (_, options) => {
    await using session = await Session.create(observing(true), options);
    using outputs = await session.run(feeds);
    const counts = outputs.get('counts').data as Int32Array; // as declared
    expect([counts.reduce((sum, count) => sum + count), counts.at(-1)]).toEqual([4, 2]);
  });
});
