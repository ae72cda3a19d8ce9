// Quantizes an ONNX model that dino8 knows nothing about, and says how far its outputs move.
//
//   node examples/quantize-any-onnx.mjs MODEL.onnx SAMPLES OUTPUT.onnx
//
// SAMPLES is a .npz, .safetensors or .npy file, or a folder of them: each file holds the inputs for one run, by their names.
import { compare, quantize } from 'dino8';

const [model, samples, output] = process.argv.slice(2);
if (output === undefined) {
  console.error('usage: node quantize-any-onnx.mjs MODEL.onnx SAMPLES OUTPUT.onnx');
  process.exit(2);
}

// Static layers need the ranges of their activations, which the samples give.
const { bytes, layers, floatOperators } = await quantize({ model, output, calibration: samples });
console.log(`${output}: ${(bytes / 1e6).toFixed(1)} MB, ${layers.static} layers in INT8`);
console.log('Nodes that stay float:', floatOperators);

// Judge by samples that calibration did not see, if there are any; here they are the same.
const { figures } = await compare({ model, quantized: output, dataset: samples });
console.log(`Relative error of the outputs: ${figures.relativeError.toFixed(4)}`);
console.log(`Equal decisions: ${(100 * figures.agreement).toFixed(1)} %`);
