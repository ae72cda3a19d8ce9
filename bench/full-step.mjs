// One step of bench/full.mjs, in a process of its own; prints its result as a line of JSON.
import { readFileSync } from 'node:fs';
import {
  buildModel,
  kernelOptions,
  quantizeModel,
  readHuggingFace,
  readModel,
  readRecipe,
  readSafetensors,
  Session,
  tensorOf,
  writeModel,
} from '../dist/index.mjs';

const steps = {
  convert: async (checkpoint, output) => writeModel(await buildModel(await readHuggingFace(checkpoint)), output),
  quantize: async (input, output) =>
    writeModel((await quantizeModel(await readModel(input), await readRecipe('dynamic'))).model, output),
  /** Query by query: with equal proposals in another order, queries would have to be aligned; here none are. */
  compare: async (model, io) => {
    const tensors = await readSafetensors(io);
    const session = await Session.create(model, kernelOptions());
    const feeds = Object.fromEntries([...session.inputs.keys()].map((name) => [name, tensorOf(tensors.get(name))]));
    const outputs = await session.run(feeds);
    const difference = (name, output) => {
      const actual = outputs.get(output).data;
      const expected = tensorOf(tensors.get(name)).data;
      return expected.reduce(
        (most, value, index) => (value === actual[index] ? most : Math.max(most, Math.abs(value - actual[index]))),
        0,
      );
    };
    return { logits: difference('logits', 'logits'), boxes: difference('pred_boxes', 'pred_boxes') };
  },
};

const [name, ...args] = process.argv.slice(2);
const start = performance.now();
const result = await steps[name](...args);
const peakBytes = Number(readFileSync('/proc/self/status', 'utf8').match(/VmHWM:\s+(\d+)/)?.[1] ?? 0) * 1024;
console.log(JSON.stringify({ seconds: (performance.now() - start) / 1000, peakBytes, ...result }));
