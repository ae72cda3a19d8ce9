/** The step that scores a model by COCO's protocol. */

import type { OptionSchemas } from '../base/check-options.ts';
import { UsageError } from '../base/errors.ts';
import { writeAtomic } from '../base/files.ts';
import { stateBeside } from '../base/write-place.ts';
import { type CocoDataset, keepImages, takeImages } from '../data/coco.ts';
import { Detector } from '../detect/detector.ts';
import { writeDetections } from '../evaluate/detections-file.ts';
import { openEvaluationJournal } from '../evaluate/evaluation-journal.ts';
import { scoreDataset } from '../evaluate/score-dataset.ts';
import { type ReadOptions, readSchemas } from '../models/package/package.ts';
import type { Shard } from '../quant/observe/statistics-file.ts';
import type { ProviderName } from '../runtime/options.ts';
import type { ThreadOptions } from '../runtime/threads.ts';
import { type DetectionSource, nameOfDetections, openDetections, pathsOf } from './judged-detections.ts';
import {
  countSchema,
  datasetSchema,
  datasetSchemas,
  deviceSchema,
  modelSchema,
  optionalDetections,
  optionalPath,
  overwriteSchemas,
  seedSchema,
  shardSchema,
  threadSchemas,
} from './option-schemas.ts';
import { originOf } from './result-origin.ts';
import { runStep } from './run-step.ts';
import { openLabelled } from './samples.ts';
import { type ScoreResult, scoreDetections } from './score-step.ts';
import { type DatasetOptions, type DatasetSource, type ModelSource, openModel, readSource } from './sources.ts';
import { checkStepFiles, type OverwriteOptions } from './step-files.ts';

/** Options of `evaluate`. */
export interface EvaluateOptions extends DatasetOptions, ReadOptions, ThreadOptions, OverwriteOptions {
  /** The model. */
  readonly model: ModelSource;
  /** The labelled images; the categories together are the prompt. */
  readonly dataset: DatasetSource;
  /** Scores only the first images, this many; all by default. */
  readonly images?: number | undefined;
  /**
   * Scores one part of the images, numbered from 1, for instance on one of several machines. `score` takes the detections of all
   * parts that `saveDetections` names, and its result is that of an evaluation of all images to the bit.
   */
  readonly shard?: Shard | undefined;
  /** The JSON file to write. With it, an interrupted evaluation keeps its state in `OUTPUT.partial` and continues there. */
  readonly output?: string | undefined;
  /** Where the model runs; `cpu` by default. */
  readonly device?: ProviderName | undefined;
  /**
   * The file to write the detections to, in COCO's results format, for `score` and other tools. With it, an interrupted
   * evaluation continues too.
   */
  readonly saveDetections?: string | undefined;
  /** The detections of another model in the same images; the differences from them are computed too. */
  readonly against?: DetectionSource | undefined;
  /** The seed of the confidence intervals; 0 by default. */
  readonly seed?: number | undefined;
}

const schemas: OptionSchemas<EvaluateOptions> = {
  ...datasetSchemas,
  ...readSchemas,
  ...threadSchemas,
  ...overwriteSchemas,
  model: modelSchema,
  dataset: datasetSchema,
  images: countSchema,
  shard: shardSchema,
  output: optionalPath,
  device: deviceSchema,
  saveDetections: optionalPath,
  against: optionalDetections,
  seed: seedSchema,
};

/** The result of `evaluate`. */
export type EvaluateResult = ScoreResult;

/**
 * Detects every category in every image and computes COCO's average precision as pycocotools does, with confidence intervals.
 *
 * @throws UsageError if the data set has no images or no categories; InputError if the state of an interrupted evaluation
 * belongs to another one
 * @example
 * const { figures } = await evaluate({ model: 'tiny.int8.onnx', dataset: 'coco/val2017', images: 500 });
 * console.log(100 * figures.AP);
 */
export async function evaluate(options: EvaluateOptions): Promise<EvaluateResult> {
  return runStep('evaluate', schemas, options, async () => {
    const { threads, device, output, saveDetections, shard, seed, onProgress, onNotice, signal } = options;
    if (shard && saveDetections === undefined)
      throw new UsageError('A part of an evaluation is of use by its detections: give `saveDetections` with `shard`.');
    await checkStepFiles({
      outputs: [output, saveDetections],
      models: [options.model],
      tokenizer: options.tokenizer,
      data: [options.dataset, ...pathsOf(options.against)],
      overwrite: options.overwrite,
    });
    const every = await readSource(options.dataset, options);
    const against = options.against === undefined ? undefined : await openDetections(options.against, every, options);
    const source = await openModel(options.model, options);
    const chosen = shard ? imagesOfShard(takeImages(every, options.images ?? Number.POSITIVE_INFINITY), shard) : every;
    const dataset = await openLabelled(source, chosen, shard ? { ...options, images: undefined } : options);
    await using detector = await Detector.create(source, { threads, signal, ...(device && { providers: [device] }) });
    const partial = (await stateBeside(output, '.partial')) ?? (await stateBeside(saveDetections, '.partial'));
    await using journal =
      partial === undefined ? undefined : await openEvaluationJournal(partial, source, dataset, { onProgress, signal });
    const { detections } = await scoreDataset(detector, dataset, { onProgress, onNotice, signal, journal });
    const result: ScoreResult = {
      origin: originOf('score', {
        subject: source.source,
        model: source,
        detections: saveDetections,
        against: nameOfDetections(options.against),
        found: detections,
        foundBefore: against,
        dataset,
      }),
      ...(await scoreDetections(dataset, detections, against, { seed, onProgress, signal })),
    };
    if (saveDetections !== undefined) await writeDetections(saveDetections, detections, dataset);
    if (output !== undefined) await writeAtomic(output, `${JSON.stringify(result, undefined, 2)}\n`);
    await journal?.remove();
    return result;
  });
}

/** The images of a part: every `count`-th one, so that parts take about as long as each other. */
function imagesOfShard(dataset: CocoDataset, { index, count }: Shard): CocoDataset {
  if (count > dataset.images.length)
    throw new UsageError(
      `\`shard\` has ${count} parts of ${dataset.images.length} images; ask for at most one for each image.`,
    );
  return keepImages(
    dataset,
    dataset.images.filter((_, place) => place % count === index - 1),
  );
}
