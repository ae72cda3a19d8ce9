import { defineConfig } from 'vitest/config';
import { LongestFirst } from './test/longest-first.ts';

/** Tests that put others in the place of modules, which those that are loaded already would not see. */
const REPLACING = [
  'src/pipeline/bench-step.test.ts',
  'src/train/run-training.test.ts',
  'src/quant/targets/ort-cpu/window-attention.test.ts',
];

const everyTest = {
  // These limits end a test that hangs. No test may depend on them: a busy machine can be ten times slower.
  testTimeout: 900_000,
  hookTimeout: 900_000,
  env: { DINO8_THREADS: process.env.DINO8_THREADS ?? '1' },
  pool: 'forks' as const,
  execArgv: ['--expose-gc'],
};

export default defineConfig({
  test: {
    // Two workers keep a two-core machine busy. Sessions with more threads than one would wait for each other by spinning.
    maxWorkers: 2,
    sequence: { sequencer: LongestFirst },
    globalSetup: 'src/testing/build-kernels.ts',
    projects: [
      // The tests beside the sources share a worker's modules. Loading them for each file would be an eighth of all work.
      { test: { ...everyTest, name: 'sources', include: ['src/**/*.test.ts'], exclude: REPLACING, isolate: false } },
      // A process for each file: whole commands, limits of memory, and what replaces modules.
      { test: { ...everyTest, name: 'processes', include: ['test/**/*.test.ts', ...REPLACING] } },
    ],
  },
});
