// Turns a checkpoint into an INT8 model by a recipe, and scores both on labelled images.
//
// Usage: node examples/quantize.mjs [CHECKPOINT] [CALIBRATION] [VALIDATION] [FOLDER] [IMAGES]
import { mkdir } from 'node:fs/promises';
import { join } from 'node:path';
import { bundledCalibration, bundledModel, bundledValidation, convert, evaluate, quantize } from 'dino8';

const [
  checkpoint = bundledModel(),
  calibration = bundledCalibration(),
  validation = bundledValidation(),
  folder = 'quantized',
  images = '100',
] = process.argv.slice(2);

await mkdir(folder, { recursive: true });
const float = join(folder, 'float.onnx');
const int8 = join(folder, 'int8.onnx');

const before = await convert({ checkpoint, output: float });
const after = await quantize({ model: float, output: int8, recipe: 'mixed', calibration, calibrationImages: 8 });
console.log(`The file shrinks from ${before.bytes} to ${after.bytes} bytes. Layers in each precision:`, after.layers);

for (const model of [float, int8]) {
  const { figures } = await evaluate({ model, dataset: validation, images: Number(images) });
  console.log(`${model}: ${(100 * figures.AP).toFixed(2)} AP`);
}
