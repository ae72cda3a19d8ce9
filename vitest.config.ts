import { defineConfig } from 'vitest/config';

export default defineConfig({
  test: {
    include: ['src/**/*.test.ts', 'test/**/*.test.ts'],
    testTimeout: 300_000,
    hookTimeout: 300_000,
    // Native sessions use every core themselves; two workers keep a two-core machine busy without thrashing.
    maxWorkers: 2,
    pool: 'forks',
    execArgv: ['--expose-gc'],
    globalSetup: 'src/testing/build-kernels.ts',
  },
});
