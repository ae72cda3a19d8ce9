// What float16 costs, simulated on a CPU: AP of a model, of the same in float16 with the islands of float32 that its family names, and
// of the same with operators alone as islands. ONNX Runtime computes each operator in float32 and rounds its results to float16, so that
// this shows the loss of storing in 16 bits, and not that of adding up in them.
// Usage: node bench/half.mjs MODEL [DATASET] [IMAGES] [--singly]      (default: the bundled images, the first 60)
// With --singly there is a row for each island too: the model without this one, and the model with this one alone.
import { parseArgs } from 'node:util';
import { bundledValidation, evaluate, readPackage } from '../dist/index.mjs';
import { copyModel, lowerModel, raiseOpset } from '../dist/onnx.mjs';
import { storeHalf } from '../dist/quant.mjs';

const { values: asked, positionals } = parseArgs({ allowPositionals: true, options: { singly: { type: 'boolean' } } });
const [model, dataset = bundledValidation(), images = '60'] = positionals;
if (!model) {
  console.error('Usage: node bench/half.mjs MODEL [DATASET] [IMAGES] [--singly]');
  process.exit(2);
}
const source = await readPackage(model);
// The text side runs once for a prompt, in float32, and is no part of the models for devices.
const TEXT = ['model.text_backbone.**', 'model.text_projection'];

async function halfOf(single) {
  const half = copyModel(source.model);
  raiseOpset(half, model);
  lowerModel(half, { opset: 19 }, model);
  const count = await storeHalf(half, { single: [...single, ...TEXT] }, model);
  return { count, source: { ...source, model: half } };
}

const islands = source.family.singlePrecision ?? [];
const without = (each) => islands.filter((other) => other !== each);
const variants = [
  ['as it is', async () => ({ count: 0, source })],
  ['float16, islands of the family', () => halfOf(islands)],
  ['float16, operators alone', () => halfOf([])],
  ...(asked.singly ? islands : []).flatMap((each) => [
    [`float16, all islands but \`${each}\``, () => halfOf(without(each))],
    [`float16, operators and \`${each}\``, () => halfOf([each])],
  ]),
];
console.log(`| ${model}, first ${images} images | nodes in float16 | AP | AP50 | AP75 |\n|---|---|---|---|---|`);
for (const [name, make] of variants) {
  const { count, source: variant } = await make();
  const { figures } = await evaluate({ model: variant, dataset, images: Number(images) });
  const points = (key) => (100 * figures[key]).toFixed(2);
  console.log(`| ${name} | ${count} | ${points('AP')} | ${points('AP50')} | ${points('AP75')} |`);
}
