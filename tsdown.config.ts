import { defineConfig } from 'tsdown';

const shared = { format: 'esm', checks: { pluginTimings: false } } as const;
const browser = {
  ...shared,
  platform: 'browser',
  target: 'es2022',
  tsconfig: 'tsconfig.web.json',
  clean: false,
  outExtensions: () => ({ js: '.mjs', dts: '.d.mts' }),
} as const;

export default defineConfig([
  {
    ...shared,
    entry: {
      index: 'src/index.ts',
      autodiff: 'src/public-autodiff.ts',
      evaluate: 'src/public-evaluate.ts',
      models: 'src/public-models.ts',
      onnx: 'src/public-onnx.ts',
      quant: 'src/public-quant.ts',
      runtime: 'src/public-runtime.ts',
      train: 'src/public-train.ts',
      cli: 'src/cli/index.ts',
    },
    platform: 'node',
    target: 'node20',
    dts: true,
    clean: true,
  },
  // For browsers, in two forms: a library for bundlers, and one file with all that it needs, for pages without a build step. Their
  // builds share no files with that for Node.js.
  {
    ...browser,
    entry: { web: 'src/public-web.ts' },
    dts: true,
    // Types of what only Node.js runs are looked through, and not imported.
    deps: { neverBundle: /^node:/ },
  },
  {
    ...browser,
    entry: { 'web-page': 'src/public-web.ts' },
    dts: false,
    deps: { alwaysBundle: () => true },
    minify: true,
  },
]);
