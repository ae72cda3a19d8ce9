import { defineConfig } from 'vitest/config';
import { LongestFirst } from './test/longest-first.ts';

export default defineConfig({
  test: {
    include: ['src/**/*.test.ts', 'test/**/*.test.ts'],
    // These limits end a test that hangs. No test may depend on them: a busy machine can be ten times slower.
    testTimeout: 900_000,
    hookTimeout: 900_000,
    // Two workers keep a two-core machine busy. Sessions with more threads than one would wait for each other by spinning.
    maxWorkers: 2,
    env: { DINO8_THREADS: process.env.DINO8_THREADS ?? '1' },
    sequence: { sequencer: LongestFirst },
    pool: 'forks',
    execArgv: ['--expose-gc'],
    globalSetup: 'src/testing/build-kernels.ts',
  },
});
