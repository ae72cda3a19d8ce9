/** A lack of memory is told in a sentence that says what to lower, whoever did not get it. */
import { join } from 'node:path';
import { describe, expect, test } from 'vitest';
import { isOutOfMemory, MemoryError, withMemoryAdvice } from '../src/base/errors.ts';
import { packageRoot } from '../src/base/package-root.ts';
import { GraphBuilder } from '../src/onnx/builder.ts';
import { DataType } from '../src/onnx/types.ts';
import { modelBytes } from '../src/onnx/write.ts';
import { Session } from '../src/runtime/session.ts';
import { tensor } from '../src/runtime/tensor.ts';
import { entry, run } from './run-cli.ts';

/** More than any machine has. */
const TOO_MUCH = 2 ** 50;

test.each([
  ['an array', () => new Float32Array(TOO_MUCH)],
  ['a buffer', () => new ArrayBuffer(TOO_MUCH)],
  ['a Buffer of Node.js', () => Buffer.alloc(2 ** 52)],
  ['a text', () => 'x'.repeat(2 ** 29)],
  ['a text from bytes', () => Buffer.alloc(2 ** 29 + 1).toString('latin1')],
])('%s that is too large', (_, allocate) => {
  let failure: unknown;
  try {
    allocate();
  } catch (error) {
    failure = error;
  }
  expect(isOutOfMemory(failure), String(failure)).toBe(true);
  const told = withMemoryAdvice(failure, ['`threads`', '`batch`']);
  expect(told).toBeInstanceOf(MemoryError);
  expect(String(told)).toMatch(/not enough memory .*lower `threads`, `batch` or the size of the pictures\.$/);
});

test('ONNX Runtime says so too', async () => {
  const b = new GraphBuilder('huge');
  b.output('y', b.expand(b.constant(Float32Array.of(1), [1]), [b.input('size', DataType.INT64, [1])]));
  await using session = await Session.create(modelBytes(b.finish()));
  const size = tensor(BigInt64Array.of(2n ** 45n), [1]);
  await expect(session.run({ size })).rejects.toThrow(MemoryError);
});

describe.skipIf(process.platform !== 'linux')('the command line', () => {
  const inspect = ['inspect', join(packageRoot, 'assets/nano')];

  test('whose heap is full', async () => {
    const { code, stderr } = await run(inspect, process.execPath, ['--max-old-space-size=12', entry]);
    expect(code).toBe(1);
    expect(stderr).toMatch(/dino8: .*memory.*--threads.*\n$/);
    expect(stderr).not.toMatch(/^\s+at |#\d+|0x[0-9a-f]{6}|stacktrace/im);
  });
});
