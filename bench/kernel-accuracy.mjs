// What dino8's kernels change in AP, against the bodies of the same operators in ONNX Runtime. Sums in another order turn single
// roundings over, and one of them spreads through the whole model: by kernels the queries move as much as by pictures that differ by
// a hundredth of a grey level. AP of one run is therefore chance to a tenth of a point. This takes the mean over runs in each of
// which the pictures differ by so little, the same for kernels and bodies, with the interval of Student's t distribution.
//
//   node bench/kernel-accuracy.mjs [--recipes fast,mixed,full] [--runs 16] [--images 500] [--write]      (some 20 s a run and recipe on one core)
//
// --write puts the table into docs/performance.md. The models are those of the bundled recipes, calibrated on 128 images. What was measured by the same build is kept.
import { mkdirSync } from 'node:fs';
import { join } from 'node:path';
import { bootstrapScores, matchDetections, scoreDataset } from '../dist/evaluate.mjs';
import { Detector, readDataset, readPackage, takeImages } from '../dist/index.mjs';
import { Preprocessor } from '../dist/models.mjs';
import { kernelOptions, Session } from '../dist/runtime.mjs';
import { estimate, points, signed } from './figures.mjs';
import { build } from './full-models.mjs';
import { openJournal } from './journal.mjs';
import { dino8, overSeeds, root } from './seeds.mjs';
import { sessionDetector } from './session-detector.mjs';
import { misuse, openTables, readStandard } from './write-table.mjs';

// A grey level is about 0.017 of the values that the model takes.
const PERTURBATION = 1e-4;
/** Between them these recipes have all operators with kernels. */
const STANDARD = { recipes: 'fast,mixed,full', runs: '16', images: '500' };
const { values: options, settings } = readStandard(STANDARD);
const tables = openTables(['kernels-bodies'], { write: options.write, settings });
const [runs, images] = [Number(options.runs), Number(options.images)];
const kernels = kernelOptions();
if (kernels.customOperators.length === 0)
  misuse('The kernels are not built, or DINO8_NO_KERNELS is set: there is nothing to compare.');

const work = join(root, '.dino8', 'kernel-accuracy');
mkdirSync(work, { recursive: true });
const journal = openJournal(join(work, 'runs.jsonl'));

const source = await readPackage(join(root, 'assets', 'nano'));
const validation = takeImages(await readDataset(join(root, 'assets', 'shapes', 'val')), images);
const detector = await Detector.create(source);
const prompt = await detector.encodePrompt(
  validation.categories.toSorted((a, b) => a.id - b.id).map(({ name }) => name),
);
await detector[Symbol.asyncDispose]();
const preprocessor = await Preprocessor.create(source.preprocessing);

/** Numbers from −1 to 1 that follow from a seed (a linear congruential generator with the constants of Numerical Recipes). */
function randomNumbers(seed) {
  let state = seed;
  return () => {
    state = (Math.imul(state, 1_664_525) + 1_013_904_223) >>> 0;
    return state / 2 ** 31 - 1;
  };
}

/** AP of a model whose pictures each differ a little, as `run` says. */
async function precisionOf(model, settings, run) {
  const session = await Session.create(model, settings);
  const random = randomNumbers(run + 1);
  const disturbed = {
    inputs: session.inputs,
    run(feeds) {
      const pixels = feeds.pixel_values;
      const data = pixels.data.map((value) => value + PERTURBATION * random());
      return session.run({ ...feeds, pixel_values: { ...pixels, data } });
    },
  };
  const { detections } = await scoreDataset(sessionDetector(disturbed, preprocessor, prompt), validation);
  await session.close();
  const [{ figures }] = await bootstrapScores([matchDetections(validation, detections)]);
  return figures.AP.value;
}

const rows = [];
for (const recipe of options.recipes.split(',')) {
  const model = join(work, `${recipe}.${build}.onnx`);
  const calibration = ['--calibration', join(root, 'assets/shapes/calib'), '--calibration-images', 128];
  dino8(model, 'quantize', join(root, 'assets/nano'), '--recipe', recipe, ...calibration, '-o', model);
  const changes = [];
  for (let run = 0; run < runs; run++) {
    const key = `${build} ${recipe} ${images} ${run}`;
    if (!journal.get(key)) {
      const bodies = await precisionOf(model, {}, run);
      journal.add(key, { bodies, kernels: await precisionOf(model, kernels, run) });
    }
    const { bodies, kernels: byKernels } = journal.get(key);
    changes.push(byKernels - bodies);
    process.stderr.write(
      `${recipe}, run ${run + 1}/${runs}: ${points(bodies)} by bodies, ${points(byKernels)} by kernels\n`,
    );
  }
  const bodies = Array.from({ length: runs }, (_, run) => journal.get(`${build} ${recipe} ${images} ${run}`).bodies);
  const spread = `${points(Math.min(...bodies))}–${points(Math.max(...bodies))}`;
  const single = `${signed(Math.min(...changes))} to ${signed(Math.max(...changes))}`;
  rows.push([`\`${recipe}\``, spread, single, estimate(overSeeds(changes), signed)]);
}
const headings = ['recipe', 'AP by bodies, single runs', 'change by kernels, single runs', `mean of ${runs} runs`];
tables.table('kernels-bodies', headings, rows);
tables.finish();
