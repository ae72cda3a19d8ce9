// Quantization-aware training: trains a checkpoint with the rounding of a recipe in place, and writes the INT8 model. A training
// that was interrupted continues where it was when the program is started again.
//
// Usage: node examples/train-with-rounding.mjs [CHECKPOINT] [DATASET] [OUTPUT] [STEPS]
import { bundledCalibration, bundledModel, qat } from 'dino8';

const [checkpoint = bundledModel(), dataset = bundledCalibration(), output = 'trained.int8.onnx', steps = '100'] =
  process.argv.slice(2);

// Ctrl-C stops the training after it has saved its state.
const controller = new AbortController();
process.once('SIGINT', () => controller.abort());

const { recipe, bytes } = await qat({
  checkpoint,
  dataset,
  output,
  recipe: 'full',
  calibration: dataset,
  calibrationImages: 8,
  batch: 2,
  steps: Number(steps),
  signal: controller.signal,
  onStep: ({ step, loss }) => console.log(`step ${step}: loss ${loss.toFixed(3)}`),
});
console.log(`${output} was trained by the recipe ${recipe} and has ${bytes} bytes.`);
