// Measures the cost of observing: the bundled model on 256 images, run as it is and calibrated, in turns.
//
//   node bench/calibration.mjs
import { dirname, join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { calibrationFeeds, planCalibration, readDataset, readPackage } from '../dist/index.mjs';
import { modelBytes } from '../dist/onnx.mjs';
import { calibrate, observableValues } from '../dist/quant.mjs';
import { kernelOptions, Session } from '../dist/runtime.mjs';
import { quantile } from './statistics.mjs';

const assets = join(dirname(fileURLToPath(import.meta.url)), '..', 'assets');
const source = await readPackage(join(assets, 'nano'));
const { items } = planCalibration(await readDataset(join(assets, 'shapes/calib')), 256, 0);
const values = observableValues(source.model);
const config = { 'session.intra_op.allow_spinning': '0' };
const seconds = async (work) => {
  const start = performance.now();
  await work();
  return (performance.now() - start) / 1000;
};
const run = async () => {
  const session = await Session.create(modelBytes(source.model), { config, ...kernelOptions({ training: true }) });
  for await (const { feeds } of calibrationFeeds(source, items)) (await session.run(feeds)).dispose();
  await session.close();
};
const observe = () => calibrate(source.model, values, calibrationFeeds(source, items), { total: items.length });

const ratios = [];
for (let round = 0; round < 5; round++) {
  const [plain, observed] = [await seconds(run), await seconds(observe)];
  ratios.push(observed / plain);
  console.log(`running ${plain.toFixed(2)} s, calibrating ${observed.toFixed(2)} s: ${(observed / plain).toFixed(2)}x`);
}
console.log(
  `${values.length} values on ${items.length} images: ${quantile(ratios, 0.5).toFixed(2)}x the time of running them (median)`,
);
