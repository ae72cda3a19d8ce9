/** The step that scores a model by COCO's protocol. */

import type { OptionSchemas } from '../base/check-options.ts';
import { writeAtomic } from '../base/files.ts';
import { stateBeside } from '../base/write-place.ts';
import { Detector } from '../detect/detector.ts';
import { writeDetections } from '../evaluate/detections-file.ts';
import { openEvaluationJournal } from '../evaluate/evaluation-journal.ts';
import { scoreDataset } from '../evaluate/score-dataset.ts';
import { type ReadOptions, readSchemas } from '../models/package/package.ts';
import type { ProviderName } from '../runtime/options.ts';
import type { ThreadOptions } from '../runtime/threads.ts';
import { type DetectionSource, openDetections } from './judged-detections.ts';
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
  threadSchemas,
} from './option-schemas.ts';
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
    const { threads, device, output, saveDetections, seed, onProgress, onNotice, signal } = options;
    const other = typeof options.against === 'string' ? options.against : undefined;
    await checkStepFiles({
      outputs: [output, saveDetections],
      models: [options.model],
      data: [options.dataset, other],
      overwrite: options.overwrite,
    });
    const every = await readSource(options.dataset, options);
    const against = options.against === undefined ? undefined : await openDetections(options.against, every, options);
    const source = await openModel(options.model, options);
    const dataset = await openLabelled(source, every, options);
    await using detector = await Detector.create(source, { threads, signal, ...(device && { providers: [device] }) });
    const partial = (await stateBeside(output, '.partial')) ?? (await stateBeside(saveDetections, '.partial'));
    await using journal =
      partial === undefined ? undefined : await openEvaluationJournal(partial, source, dataset, { onProgress, signal });
    const { detections } = await scoreDataset(detector, dataset, { onProgress, onNotice, signal, journal });
    const result = await scoreDetections(dataset, detections, against, { seed, onProgress, signal });
    if (saveDetections !== undefined) await writeDetections(saveDetections, detections, dataset);
    if (output !== undefined) await writeAtomic(output, `${JSON.stringify(result, undefined, 2)}\n`);
    await journal?.remove();
    return result;
  });
}
