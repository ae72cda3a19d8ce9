// One step of bench/full.mjs, in a process of its own; prints its result as a line of JSON.
import { readFileSync } from 'node:fs';
import { copyFile, mkdir, readdir } from 'node:fs/promises';
import { join } from 'node:path';
import sharp from 'sharp';
import { applyRecipe, planCalibration, readDataset, readPackage, readRecipe, writePackage } from '../dist/index.mjs';
import { loadModel, readSafetensors, sizesOf, specialize } from '../dist/models.mjs';
import { readModel, writeModel } from '../dist/onnx.mjs';
import { quantizeModel } from '../dist/quant.mjs';
import { kernelOptions, Session, tensorOf } from '../dist/runtime.mjs';

const steps = {
  convert: async (checkpoint, output) => writePackage(await readPackage(checkpoint), output),
  quantize: async (input, output, recipe = 'dynamic') =>
    writeModel((await quantizeModel(await readModel(input), await readRecipe(recipe))).model, output),
  /** Makes the images of a data set as wide as the published size: 5 : 3, which is resized to 800x1333. */
  widen: async (images, annotations, output) => {
    await mkdir(output, { recursive: true });
    await copyFile(annotations, join(output, 'annotations.json'));
    for (const name of await readdir(images))
      await sharp(join(images, name)).resize(320, 192, { fit: 'fill' }).toFile(join(output, name));
  },
  /** A few images are enough: speed and memory do not depend on ranges. */
  calibrate: async (input, output, images, recipe = 'fast', target = undefined) => {
    const source = await readPackage(input);
    const plan = planCalibration(await readDataset(images), 3, 0);
    const { model } = await applyRecipe(source, await readRecipe(recipe), { plan, target });
    await writeModel(model, output);
  },
  specialize: async (input, output, io) => {
    const loaded = await loadModel(input);
    const tensors = await readSafetensors(io);
    const [batch, , height, width] = tensors.get('pixel_values').shape;
    const textLength = tensors.get('input_ids').shape[1];
    await writeModel(await specialize(loaded.model, { batch, height, width, textLength }, sizesOf(loaded)), output);
    return { tokens: textLength };
  },
  /**
   * Compares query by query. Proposals whose scores are equal to the last bits may change places in the top-k; the learned
   * content of a query then belongs to another box, so its logits mean something else. Such queries are counted, not compared.
   */
  compare: async (model, io) => {
    const tensors = await readSafetensors(io);
    const session = await Session.create(model, kernelOptions({ training: true }));
    const feeds = Object.fromEntries([...session.inputs.keys()].map((name) => [name, tensorOf(tensors.get(name))]));
    const outputs = await session.run(feeds);
    const rowsOf = ({ data, shape: [, queries, width] }) =>
      Array.from({ length: queries }, (_, query) => data.subarray(query * width, (query + 1) * width));
    const [logits, boxes] = ['logits', 'pred_boxes'].map((name) => rowsOf(outputs.get(name)));
    const expected = ['logits', 'pred_boxes'].map((name) => rowsOf(tensorOf(tensors.get(name))));
    const difference = (a, b) => a.reduce((most, x, i) => (x === b[i] ? most : Math.max(most, Math.abs(x - b[i]))), 0);
    const moved = boxes.map(
      (box, query) =>
        difference(box, expected[1][query]) > 1e-4 && expected[1].some((other) => difference(box, other) <= 1e-4),
    );
    const worst = (rows, reference) =>
      Math.max(...rows.map((row, query) => (moved[query] ? 0 : difference(row, reference[query]))));
    return {
      logits: worst(logits, expected[0]),
      boxes: worst(boxes, expected[1]),
      moved: moved.filter(Boolean).length,
    };
  },
};

const [name, ...args] = process.argv.slice(2);
const start = performance.now();
const result = await steps[name](...args);
const peakBytes = Number(readFileSync('/proc/self/status', 'utf8').match(/VmHWM:\s+(\d+)/)?.[1] ?? 0) * 1024;
console.log(JSON.stringify({ seconds: (performance.now() - start) / 1000, peakBytes, ...result }));
