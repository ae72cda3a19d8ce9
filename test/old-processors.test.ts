/**
 * The kernels multiply bytes exactly on processors without dot products of bytes, where ONNX Runtime adds two products in 16
 * bits. An emulator runs Node.js as on such a processor.
 */
import { execFile, spawnSync } from 'node:child_process';
import { join } from 'node:path';
import { promisify } from 'node:util';
import { expect, test } from 'vitest';
import { packageRoot } from '../src/base/package-root.ts';
import { hasKernels } from '../src/testing/kernels.ts';

const EMULATOR = 'qemu-x86_64';
const isEmulated = hasKernels && process.arch === 'x64' && spawnSync(EMULATOR, ['--version']).status === 0;
const built = (name: string) => JSON.stringify(join(packageRoot, 'dist', `${name}.mjs`));

/** Prints a result of a quantized layer that adds 64 numbers, by the kernels and by ONNX Runtime alone. */
const PROGRAM = `
  const { DataType, GraphBuilder, makeTensor } = await import(${built('onnx')});
  const { parseRecipe, quantizeModel } = await import(${built('quant')});
  const { floats, kernelOptions, Session } = await import(${built('runtime')});
  const b = new GraphBuilder('layer');
  const weight = b.initializer(makeTensor('weight', [64, 32], new Float32Array(64 * 32).fill(1)));
  b.output('sums', b.scope('layer', () => b.matmul(b.input('x', DataType.FLOAT, [8, 64]), weight)), [8, 32]);
  const recipe = parseRecipe('description: x\\nrules: [{ match: "**", treatment: dynamic }]', 'it.yaml');
  const { model } = await quantizeModel(b.finish(), recipe);
  for (const options of [kernelOptions(), {}]) {
    const session = await Session.create(model, { threads: 1, ...options });
    const outputs = await session.run({ x: floats(new Float32Array(8 * 64).fill(1), [8, 64]) });
    console.log(outputs.get('sums').data[0]);
  }
`;

test.runIf(isEmulated)(
  'products of stored weights do not overflow in the kernels with AVX2 alone, as they do without',
  async () => {
    const args = ['-cpu', 'Haswell', process.execPath, '--input-type=module', '-e', PROGRAM];
    const { stdout } = await promisify(execFile)(EMULATOR, args);
    const [byKernels, without] = stdout.trim().split('\n').map(Number);
    expect(byKernels).toBeCloseTo(64, 3);
    expect(without).toBeLessThan(40);
  },
  300_000,
);
