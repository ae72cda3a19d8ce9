/** The step `doctor` says which instruction set the kernels use. */
import { existsSync } from 'node:fs';
import { join } from 'node:path';
import { afterEach, expect, test } from 'vitest';
import { packageRoot } from '../base/package-root.ts';
import { hasKernelPath, hasKernels, KERNEL_PATHS } from '../testing/kernels.ts';
import { examineMachine } from './doctor-step.ts';

afterEach(() => {
  delete process.env.DINO8_KERNEL_PATH;
});

test.runIf(hasKernels).for(KERNEL_PATHS.filter(hasKernelPath))(
  'the kernels are in use by %s if it is named',
  async (path) => {
    process.env.DINO8_KERNEL_PATH = path;
    expect((await examineMachine()).kernels).toMatch(new RegExp(`^in use \\(${path}; this machine has .*\\)$`));
  },
);

test.runIf(hasKernels)('an instruction set that is unknown is named with those of the machine', async () => {
  process.env.DINO8_KERNEL_PATH = 'avx-512';
  expect((await examineMachine()).kernels).toMatch(
    /^not in use: .*"avx-512", but the kernels on this machine run by .*scalar/,
  );
});

test('whether the engine for pages was built is said', async () => {
  const isBuilt = existsSync(join(packageRoot, 'kernels/build/dino8-engine.wasm'));
  expect((await examineMachine())['engine for pages']).toMatch(isBuilt ? /^built$/ : /^not built: .*onnxruntime-web/);
});
