import { execFile } from 'node:child_process';
import { stat } from 'node:fs/promises';
import { availableParallelism, cpus } from 'node:os';
import { basename, join } from 'node:path';
import { promisify } from 'node:util';
import { Command } from '@commander-js/extra-typings';
import { z } from 'zod';
import { InputError, messageOf } from '../base/errors.ts';
import { makeDirectory, readBytes, writeAtomic } from '../base/files.ts';
import { packageVersion } from '../base/package-root.ts';
import { parseWith } from '../base/schema.ts';
import { median } from '../base/statistics.ts';
import { bundledCalibration, bundledModel, bundledValidation } from '../data/bundled.ts';
import { planCalibration } from '../data/calibration-plan.ts';
import { type CocoDataset, openCoco, takeImages } from '../data/coco.ts';
import { decodeImage } from '../data/image.ts';
import { Detector } from '../detect/detector.ts';
import type { CocoFigures } from '../evaluate/average-precision.ts';
import { type Inspection, inspectModel } from '../evaluate/inspect.ts';
import { scoreDataset } from '../evaluate/score-dataset.ts';
import { type ModelPackage, readCheckpoint, readPackage, writePackage } from '../models/package/package.ts';
import { planQuantizedTraining } from '../pipeline/plan-quantized-training.ts';
import { quantize } from '../pipeline/quantize-step.ts';
import { type Recipe, readRecipe } from '../quant/recipe.ts';
import { pointsAgainst, type Variant } from '../report/variants.ts';
import { renderReport, type ShownImage } from '../report/variants-page.ts';
import { createTraining } from '../train/create-training.ts';
import { runTraining } from '../train/run-training.ts';
import { resolveTrainingSettings } from '../train/training-settings.ts';
import { megabytes, milliseconds, points, signed } from './format.ts';
import { interruption } from './interruption.ts';
import { print, printJson } from './output.ts';
import { work } from './progress-line.ts';
import { wholeNumber } from './shared-options.ts';
import { table } from './table.ts';

const CALIBRATION_IMAGES = 64;
/** Each variant is timed in turns, so that a drift of the machine meets all. */
const ROUNDS = 3;
const RUNS_PER_ROUND = 20;
/** Images shown in the report: with several objects each. */
const SHOWN = 4;

/** Length of the prompt with which the model is profiled. */
const TOKENS = 64;

/** The precisions that are compared. FP32 is the model as it is. */
const VARIANTS = [
  { name: 'FP32', recipe: undefined },
  { name: 'dynamic', recipe: 'dynamic' },
  { name: 'mixed', recipe: 'mixed' },
  { name: 'full', recipe: 'full' },
  { name: 'QAT', recipe: 'full' },
] as const;

/** Steps of training for QAT, on the bundled calibration images. */
const TRAINING_STEPS = 240;
const TRAINING_BATCH = 12;

export function demoCommand() {
  return new Command('demo')
    .description('The whole pipeline on the bundled model: build, quantize, score, measure, report.')
    .option('--quick', 'without quantization-aware training, the longest part')
    .option('--images <count>', 'validation images to score (of 500)', wholeNumber('--images'), 200)
    .option('--out <folder>', 'where the models are written', join('.dino8', 'demo'))
    .option('--report <file>', 'the report to write', 'dino8-report.html')
    .option('--json', 'print the result as JSON')
    .addHelpText('after', '\nExamples:\n  $ dino8 demo --images 500\n  $ dino8 demo --quick')
    .action(async (options) => {
      await makeDirectory(options.out);
      const validation = takeImages(await openCoco(bundledValidation()), options.images);
      const files = await writeVariants(options.out, options.quick ?? false);
      const measured = await measureVariants(files, validation);
      const variants = measured.map(({ variant }) => variant);
      const images = await Promise.all(measured[0]?.shown.map((_, index) => compare(measured, index)) ?? []);
      const summary = `${validation.images.length} validation images, ${validation.categories.length} phrases in one prompt; latency is the median of ${ROUNDS * RUNS_PER_ROUND} runs of the model on one image, in ${ROUNDS} processes in turns, with ${availableParallelism()} threads; memory is the peak of a process of its own. ${cpus()[0]?.model.trim() ?? ''}, dino8 ${packageVersion()}.`;
      const title = 'dino8: GroundingDINO in 8 bits';
      const inspected = await inspectLast(files);
      await writeAtomic(options.report, renderReport({ title, summary, variants, images, inspected }));
      if (options.json) return printJson({ report: options.report, variants });
      print(resultTable(variants));
      print(`\nThe report is ${options.report}; the models are in ${options.out}.`);
    });
}

interface VariantFile {
  readonly name: string;
  readonly description: string;
  readonly path: string;
}

async function writeVariants(folder: string, isQuick: boolean): Promise<VariantFile[]> {
  const source = await readPackage(bundledModel());
  const files: VariantFile[] = [];
  for (const { name, recipe: recipeName } of VARIANTS) {
    if (isQuick && name === 'QAT') continue;
    const path = join(folder, `${name.toLowerCase()}.onnx`);
    if (recipeName === undefined) {
      await writePackage(source, path);
      files.push({ name, path, description: 'The checkpoint as it is, in 32-bit floating point.' });
      continue;
    }
    const recipe = await readRecipe(recipeName);
    if (name === 'QAT') {
      await trainVariant(source, recipe, path);
      files.push({
        name,
        path,
        description: `As full, trained with its rounding in place for ${TRAINING_STEPS} steps.`,
      });
      continue;
    }
    await quantize({
      ...work(),
      model: source,
      recipe,
      output: path,
      calibration: bundledCalibration(),
      calibrationImages: CALIBRATION_IMAGES,
      seed: 0,
    });
    files.push({ name, path, description: recipe.description });
  }
  return files;
}

/** Quantization-aware training on the calibration images; interrupted, it goes on where it was. */
async function trainVariant(float: ModelPackage, recipe: Recipe, path: string): Promise<void> {
  const source = await readCheckpoint(bundledModel());
  const dataset = await openCoco(bundledCalibration());
  const plan = planCalibration(dataset, CALIBRATION_IMAGES, 0);
  const quantized = await planQuantizedTraining(float, recipe, { ...work(), plan });
  const settings = resolveTrainingSettings(source, dataset, 'qat', { batch: TRAINING_BATCH, steps: TRAINING_STEPS });
  await using session = await createTraining(source, dataset, settings, { quantized });
  const { onProgress, signal } = work();
  await runTraining(session, {
    directory: `${path}.training`,
    checkpointMinutes: 1,
    signal,
    onStep: ({ step }) => onProgress?.({ label: 'Training QAT', done: step, total: settings.steps }),
  });
  await writePackage(await session.package('averages'), path);
}

/** What the last variant is made of, with its time. */
async function inspectLast(files: readonly VariantFile[]): Promise<{ name: string; inspection: Inspection }> {
  const { name = '', path = '' } = files.at(-1) ?? {};
  const source = await readPackage(path);
  const inspection = await inspectModel(source, {
    feeds: source.family.blankFeeds(source, { tokens: TOKENS }),
    depth: 2,
    profile: true,
  });
  return { name, inspection };
}

interface ScoredImage {
  readonly path: string;
  readonly bytes: Uint8Array;
  readonly width: number;
  readonly height: number;
  readonly found: ShownImage['detections'][number]['found'];
}

interface Measured {
  readonly variant: Variant;
  readonly shown: readonly ScoredImage[];
}

/** Scores every variant, then times them all, in turns. */
async function measureVariants(files: readonly VariantFile[], validation: CocoDataset): Promise<Measured[]> {
  const [image] = validation.images;
  if (!image) throw new InputError('The bundled validation set has no images.');
  const phrases = validation.categories.map((category) => category.name);
  const scored: Awaited<ReturnType<typeof scoreVariant>>[] = [];
  for (const { name, path } of files) scored.push(await scoreVariant(name, path, validation));
  const { onProgress } = work();
  const timings = files.map((): Timing[] => []);
  for (let round = 0; round < ROUNDS; round++)
    for (const [index, { path }] of files.entries()) {
      onProgress?.({ label: 'Timing', done: round * files.length + index, total: ROUNDS * files.length });
      timings[index]?.push(await timeInOwnProcess(path, validation.pathOf(image), phrases));
    }
  onProgress?.({ label: 'Timing', done: ROUNDS * files.length, total: ROUNDS * files.length });
  return Promise.all(
    files.map(async ({ name, description, path }, index): Promise<Measured> => {
      const { figures, shown } = scored[index] ?? { figures: undefined, shown: [] };
      const rounds = timings[index] ?? [];
      if (!figures) throw new InputError(`${name} was not scored.`);
      const runSeconds = rounds.flatMap((timing) => timing.runSeconds);
      const peakMemoryBytes = median(rounds.map((timing) => timing.peakMemoryBytes));
      const { size: fileBytes } = await stat(path);
      const measured = { runSeconds, medianSeconds: median(runSeconds), peakMemoryBytes, fileBytes, figures };
      return { variant: { name, description, file: path, ...measured }, shown };
    }),
  );
}

async function scoreVariant(
  name: string,
  path: string,
  validation: CocoDataset,
): Promise<{ figures: CocoFigures; shown: ScoredImage[] }> {
  await using detector = await Detector.create(await readPackage(path));
  const { figures } = await scoreDataset(detector, validation, { ...work(), label: `Scoring ${name}` });
  const prompt = await detector.encodePrompt(validation.categories.map((category) => category.name));
  const objects = (id: number) => validation.annotations.filter((annotation) => annotation.image_id === id).length;
  const busiest = validation.images.toSorted((a, b) => objects(b.id) - objects(a.id) || a.id - b.id).slice(0, SHOWN);
  const shown: ScoredImage[] = [];
  for (const image of busiest) {
    const imagePath = validation.pathOf(image);
    const bytes = await readBytes(imagePath);
    const { width, height, ...decoded } = await decodeImage(bytes, imagePath);
    shown.push({
      path: imagePath,
      bytes,
      width,
      height,
      found: await detector.detect({ width, height, ...decoded }, prompt),
    });
  }
  return { figures, shown };
}

const measurementSchema = z.object({
  runSeconds: z.array(z.number()),
  peakMemoryBytes: z.number(),
});

type Timing = z.output<typeof measurementSchema>;

/** `dino8 measure`, in a process of its own: the peak memory is that of this model alone. */
async function timeInOwnProcess(model: string, image: string, phrases: readonly string[]): Promise<Timing> {
  const [, entry = ''] = process.argv;
  const args = [
    entry,
    'measure',
    model,
    image,
    '--phrases',
    phrases.join(','),
    '--runs',
    String(RUNS_PER_ROUND),
    '--json',
  ];
  try {
    const { stdout } = await promisify(execFile)(process.execPath, args, { signal: interruption() });
    return parseWith(measurementSchema, JSON.parse(stdout), 'The measurement');
  } catch (error) {
    interruption().throwIfAborted();
    throw new InputError(`${model} could not be measured (${messageOf(error)}).`);
  }
}

async function compare(measured: readonly Measured[], index: number): Promise<ShownImage> {
  const first = measured[0]?.shown[index];
  if (!first) throw new InputError('There is no image to show.');
  return {
    name: basename(first.path),
    width: first.width,
    height: first.height,
    bytes: first.bytes,
    mediaType: 'image/jpeg',
    detections: measured.map(({ variant, shown }) => ({ variant: variant.name, found: shown[index]?.found ?? [] })),
  };
}

function resultTable(variants: readonly Variant[]): string {
  const [reference] = variants;
  if (!reference) return '';
  const ratio = (part: number, whole: number) => `${(whole / part).toFixed(2)}x`;
  const rows = variants.map((variant) => [
    variant.name,
    `${megabytes(variant.fileBytes)} ${ratio(variant.fileBytes, reference.fileBytes)}`,
    `${megabytes(variant.peakMemoryBytes)} ${ratio(variant.peakMemoryBytes, reference.peakMemoryBytes)}`,
    `${milliseconds(variant.medianSeconds)} ${ratio(variant.medianSeconds, reference.medianSeconds)}`,
    `${points(variant.figures.AP)} ${signed(pointsAgainst(variant, reference, 'AP'))}`,
    `${points(variant.figures.AP50)} ${signed(pointsAgainst(variant, reference, 'AP50'))}`,
  ]);
  return table(['', 'file', 'peak memory', 'median latency', 'AP', 'AP50'], rows);
}
