import { defineConfig } from 'tsdown';

export default defineConfig({
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
  format: 'esm',
  platform: 'node',
  target: 'node20',
  dts: true,
  clean: true,
  checks: { pluginTimings: false },
});
