/**
 * Products of bytes are exact on processors without dot products of bytes. An emulator runs Node.js as on such a processor;
 * where ONNX Runtime multiplies as it does by default, the sum below is 1,048,544.
 */
import { execFile, spawnSync } from 'node:child_process';
import { join } from 'node:path';
import { promisify } from 'node:util';
import { expect, test } from 'vitest';
import { packageRoot } from '../src/base/package-root.ts';

const EMULATOR = 'qemu-x86_64';
const isEmulated = process.arch === 'x64' && spawnSync(EMULATOR, ['--version']).status === 0;
const built = (name: string) => JSON.stringify(join(packageRoot, 'dist', `${name}.mjs`));

/** Prints an element of the product of 255 and 127 in 64 places, as a model with stored weights computes it. */
const PROGRAM = `
  const { DataType, GraphBuilder, makeTensor, modelBytes } = await import(${built('onnx')});
  const { Session, tensor } = await import(${built('runtime')});
  const b = new GraphBuilder('product');
  const bytes = b.input('bytes', DataType.UINT8, [8, 64]);
  const weight = b.initializer(makeTensor('weight', [64, 32], new Int8Array(64 * 32).fill(127)));
  b.output('sums', b.call('', 'MatMulInteger', [bytes, weight])[0], [8, 32]);
  const session = await Session.create(modelBytes(b.finish()), { threads: 1 });
  const outputs = await session.run({ bytes: tensor(new Uint8Array(8 * 64).fill(255), [8, 64]) });
  console.log(outputs.get('sums').data[0]);
`;

test.runIf(isEmulated)(
  'sums of products of stored weights do not overflow with AVX2 alone',
  async () => {
    const args = ['-cpu', 'Haswell', process.execPath, '--input-type=module', '-e', PROGRAM];
    const { stdout } = await promisify(execFile)(EMULATOR, args);
    expect(stdout.trim()).toBe(String(255 * 127 * 64));
  },
  300_000,
);
