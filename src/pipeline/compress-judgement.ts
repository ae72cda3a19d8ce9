/** The phases of `compress` that judge the models: score, compare, measure, inspect. */

import { join, resolve } from 'node:path';
import { z } from 'zod';
import { hashFile } from '../base/hash-files.ts';
import { hashJson } from '../base/hash-json.ts';
import type { JournalKey } from '../base/json-lines.ts';
import { packageVersion } from '../base/package-root.ts';
import { everyImage } from '../data/calibration-plan.ts';
import { type CocoDataset, phraseCategories, takeImages } from '../data/coco.ts';
import { categoryPhrases } from '../data/phrases.ts';
import { calibrationSamples } from '../detect/calibration-feeds.ts';
import { Detector } from '../detect/detector.ts';
import { DEFAULT_THRESHOLD } from '../detect/select-boxes.ts';
import { bootstrapScores } from '../evaluate/bootstrap.ts';
import type { CocoDetection } from '../evaluate/coco-detection.ts';
import { compareModels } from '../evaluate/compare.ts';
import { readDetections, writeDetections } from '../evaluate/detections-file.ts';
import { analyzeErrors } from '../evaluate/errors/error-gains.ts';
import { type ChangedCount, type FoundChange, findChange, findObjects } from '../evaluate/errors/found-objects.ts';
import { openEvaluationJournal } from '../evaluate/evaluation-journal.ts';
import { inspectModel } from '../evaluate/inspect.ts';
import { type Matches, matchDetections } from '../evaluate/matches.ts';
import { scoreDataset } from '../evaluate/score-dataset.ts';
import { readPackage } from '../models/package/package.ts';
import { modelHash } from '../onnx/hash.ts';
import { namedErrors } from '../report/named-errors.ts';
import type { VariantErrors } from '../report/variants.ts';
import { defaultThreads } from '../runtime/threads.ts';
import { at, type Context, type Made } from './compress-context.ts';
import { agreementSchema, type CompressedImage, type CompressResult } from './compress-options.ts';
import { measureInTurns } from './in-turns.ts';
import { measureInProcess } from './measure-step.ts';
import {
  changedCount,
  detectionSchema,
  estimatesSchema,
  figuresSchema,
  variantErrorsSchema,
} from './result-schemas.ts';

/** Every variant is timed in turns, so that a drift of the machine affects all of them. */
export const ROUNDS = 3;
/** Images that are shown in the report: those in which most changes, and of equals those with most objects. */
const MAX_SHOWN = 4;
/** Images on which outputs are compared with those of the float model. */
const MAX_COMPARED = 32;
/** Length of the prompt with which the model is profiled. */
const PROFILE_TOKENS = 64;

const scoreSchema = z.object({
  figures: figuresSchema,
  categories: z.array(z.object({ id: z.number(), name: z.string(), AP: z.number() })),
});

const shownImageSchema = z.object({
  path: z.string(),
  hash: z.string(),
  detections: z.array(
    z.object({
      variant: z.string(),
      found: z.array(detectionSchema),
      change: changedCount.optional(),
    }),
  ),
});

/** A box in an image of the report. */
type DrawnBox = z.output<typeof detectionSchema>;

/** The score of a variant. */
export type VariantScore = z.output<typeof scoreSchema>;

const timingSchema = z.object({
  loadSeconds: z.number(),
  runSeconds: z.array(z.number()).readonly(),
  peakMemoryBytes: z.number(),
});

const intervalsSchema = z.array(z.object({ intervals: estimatesSchema, change: estimatesSchema.optional() }));

/** The figures of a variant with their intervals, and their change against the float model. */
export type VariantIntervals = z.output<typeof intervalsSchema>[number];

/** The file of all boxes that a variant found. */
const detectionsOf = ({ state }: Context, { name }: Made) => join(state, `detections-${name}.json`);

/** Scores a variant, and keeps the boxes that it finds. */
export async function scoreVariant(context: Context, made: Made): Promise<VariantScore> {
  const { name, path, model } = made;
  const { records, scoring, scoringIdentity: identity, state, options } = context;
  const work = context.phase(`score ${name}`);
  const key: JournalKey = { version: packageVersion(), ...identity, model };
  return records.do({
    name: `score ${name}`,
    key,
    files: [detectionsOf(context, made)],
    schema: scoreSchema,
    run: async () => {
      const source = await readPackage(path);
      await using detector = await Detector.create(source, { threads: options.threads, signal: options.signal });
      const partial = join(state, `score-${hashJson(key).slice(0, 16)}.partial`);
      await using journal = await openEvaluationJournal(partial, source, scoring, { identity });
      const scored = await scoreDataset(detector, scoring, { ...work, journal });
      const { figures, averagePrecisionOf } = scored;
      await writeDetections(detectionsOf(context, made), scored.detections, scoring);
      const categories = scoring.categories.map(({ id, name: label }) => {
        return { id, name: label, AP: averagePrecisionOf.get(id) ?? -1 };
      });
      await journal.remove();
      return { figures, categories };
    },
  });
}

/** Finds the intervals of all variants on the same draws of the images. */
export async function findIntervals(context: Context, made: readonly Made[]): Promise<readonly VariantIntervals[]> {
  const { records, scoring, scoringIdentity, options } = context;
  const { seed } = options;
  const work = context.phase('find confidence intervals');
  const models = hashJson(made.map(({ model }) => model));
  return records.do({
    name: 'confidence intervals',
    key: { version: packageVersion(), ...scoringIdentity, models, seed },
    schema: intervalsSchema,
    run: async () => {
      const matches: Matches[] = [];
      for (const variant of made)
        matches.push(matchDetections(scoring, await readDetections(detectionsOf(context, variant), scoring)));
      const found = await bootstrapScores(matches, { ...work, seed });
      return found.map(({ figures, change }) => ({ intervals: figures, change: change?.figures }));
    },
  });
}

/** The images in which the variants lose and gain most objects, and of equals those with most objects. */
export function imagesToShow(
  { images, annotations }: CocoDataset,
  errors: readonly VariantErrors[],
): readonly CocoDataset['images'][number][] {
  const objects = new Map<number, number>();
  for (const { image_id } of annotations) objects.set(image_id, (objects.get(image_id) ?? 0) + 1);
  const changes = new Map<string, number>();
  for (const { change } of errors)
    for (const { name, lost, gained } of change?.images ?? [])
      changes.set(name, (changes.get(name) ?? 0) + lost + gained);
  const [changed, shown] = [
    (image: CocoDataset['images'][number]) => changes.get(image.file_name) ?? 0,
    (image: CocoDataset['images'][number]) => objects.get(image.id) ?? 0,
  ];
  return images.toSorted((a, b) => changed(b) - changed(a) || shown(b) - shown(a) || a.id - b.id).slice(0, MAX_SHOWN);
}

/** The objects in one image that only one of two models finds. */
function changeIn({ images }: FoundChange, id: number): ChangedCount {
  const { lost = 0, gained = 0 } = images.find((each) => each.id === id) ?? {};
  return { lost, gained };
}

/** The images of the report with the boxes that each variant finds in them. */
export async function pickImages(
  context: Context,
  made: readonly Made[],
  errors: readonly VariantErrors[],
): Promise<CompressedImage[]> {
  const { records, scoring, scoringIdentity } = context;
  const images = imagesToShow(scoring, errors);
  const ids = new Set(images.map(({ id }) => id));
  const phrases = new Map(scoring.categories.map(({ id, name }, index) => [id, { phrase: index, label: name }]));
  const asDrawn = ({ category_id, score, bbox: [x, y, width, height] }: CocoDetection): DrawnBox[] => {
    const words = phrases.get(category_id);
    return words ? [{ ...words, score, box: [x, y, width, height] }] : [];
  };
  return records.do({
    name: 'pictures',
    key: {
      version: packageVersion(),
      ...scoringIdentity,
      models: hashJson(made.map(({ name, model }) => [name, model])),
      images: hashJson([...ids]),
    },
    schema: z.array(shownImageSchema),
    run: async () => {
      const shown = await Promise.all(
        images.map(async (image) => {
          const path = scoring.pathOf(image);
          const detections: z.output<typeof shownImageSchema>['detections'] = [];
          // A report of these results may be made in another folder.
          return { path: resolve(path), hash: await hashFile(path), detections };
        }),
      );
      const annotations = scoring.annotations.filter(({ image_id }) => ids.has(image_id));
      let reference: readonly CocoDetection[] | undefined;
      for (const variant of made) {
        const drawn = (await readDetections(detectionsOf(context, variant), scoring))
          .filter(({ image_id, score }) => ids.has(image_id) && score >= DEFAULT_THRESHOLD)
          .sort((a, b) => b.score - a.score);
        const changes =
          reference &&
          findChange({ images, annotations, categories: scoring.categories }, reference, drawn, DEFAULT_THRESHOLD);
        reference ??= drawn;
        for (const [place, { id }] of images.entries())
          shown[place]?.detections.push({
            variant: variant.name,
            found: drawn.filter(({ image_id }) => image_id === id).flatMap(asDrawn),
            change: changes && changeIn(changes, id),
          });
      }
      return shown;
    },
  });
}

/** Finds the causes of the errors of each variant, and the objects that it loses and gains against the float model. */
export async function explainAll(context: Context, made: readonly Made[]): Promise<VariantErrors[]> {
  const { records, scoring, scoringIdentity } = context;
  context.phase('explain the errors');
  const [reference] = made;
  const results: VariantErrors[] = [];
  const read = (variant: Made) => readDetections(detectionsOf(context, variant), scoring);
  const names = {
    categories: new Map(scoring.categories.map(({ id, name }) => [id, name])),
    images: new Map(scoring.images.map(({ id, file_name }) => [id, file_name])),
  };
  // Of the reference only the boxes that a user sees are kept, so that one variant's are in memory at a time.
  let before: readonly CocoDetection[] | undefined;
  for (const variant of made) {
    const key: JournalKey = {
      version: packageVersion(),
      ...scoringIdentity,
      model: variant.model,
      against: reference?.model ?? null,
    };
    const run = async (): Promise<VariantErrors> => {
      if (variant !== reference) before ??= (await read(at(made, 0))).filter(({ score }) => score >= DEFAULT_THRESHOLD);
      const detections = await read(variant);
      const found = findObjects(scoring, detections, DEFAULT_THRESHOLD);
      const change =
        variant === reference || !before ? undefined : findChange(scoring, before, detections, DEFAULT_THRESHOLD);
      return {
        threshold: DEFAULT_THRESHOLD,
        analysis: analyzeErrors(scoring, detections),
        groups: found.groups,
        ...namedErrors(found, change, names),
      };
    };
    results.push(await records.do({ name: `errors of ${variant.name}`, key, schema: variantErrorsSchema, run }));
  }
  return results;
}

/** Compares each quantized variant with the float model; a trained one too, although its weights differ by the training as well. */
export async function compareAll(
  context: Context,
  made: readonly Made[],
): Promise<(z.output<typeof agreementSchema> | undefined)[]> {
  const { records, float, scoring, scoringIdentity } = context;
  const checkpoint = modelHash(float.model);
  const work = context.phase('compare with FP32');
  const samples = calibrationSamples(float, everyImage(takeImages(scoring, MAX_COMPARED)));
  const results: (z.output<typeof agreementSchema> | undefined)[] = [];
  for (const { name, path, model, recipe } of made) {
    if (!recipe) {
      results.push(undefined);
      continue;
    }
    const key: JournalKey = { version: packageVersion(), ...scoringIdentity, checkpoint, model };
    const run = async () => {
      const quantized = await readPackage(path);
      const { loss, count, figures } = await compareModels(float, quantized.model, samples, {
        ...work,
        label: name,
        outputsOnly: true,
      });
      return { inputs: samples.total, count, loss, figures };
    };
    results.push(await records.do({ name: `compare ${name}`, key, schema: agreementSchema, run }));
  }
  return results;
}

/** Times all variants in turns, each in a process of its own. */
export async function measureAll(context: Context, made: readonly Made[]): Promise<z.output<typeof timingSchema>[][]> {
  const { records, scoring, options } = context;
  const { onProgress, signal } = context.phase('measure each in a process of its own');
  const image = at(scoring.images, 0);
  const phrases = categoryPhrases(phraseCategories(scoring));
  const { runs, threads = defaultThreads() } = options;
  const measureOne = ({ name, path, model }: Made, round: number) => {
    const key: JournalKey = {
      model,
      image: image.file_name,
      phrases: hashJson(phrases.map(({ exact }) => exact)),
      threads,
      runs,
    };
    const run = () => measureInProcess({ model: path, image: scoring.pathOf(image), phrases, runs, threads, signal });
    return records.do({ name: `measure ${name}, round ${round}`, key, schema: timingSchema, run });
  };
  return measureInTurns(made, ROUNDS, measureOne, { onProgress, signal });
}

/** The modules of the last variant, with their time. */
export async function inspectLast(made: readonly Made[]): Promise<CompressResult['inspected']> {
  const { name, path } = at(made, made.length - 1);
  const source = await readPackage(path);
  const feeds = source.family.blankFeeds(source, { tokens: PROFILE_TOKENS });
  return { name, inspection: await inspectModel(source, { feeds, depth: 2, profile: true }) };
}
