/** The step that compares a quantized model with its float model. */

import { basename } from 'node:path';
import { type OptionSchemas, optional, truth } from '../base/check-options.ts';
import type { Defaults } from '../base/defaults.ts';
import { UsageError } from '../base/errors.ts';
import { writeAtomic } from '../base/files.ts';
import type { WorkOptions } from '../base/progress.ts';
import type { CocoDataset } from '../data/coco.ts';
import { categoryPhrases } from '../data/phrases.ts';
import { Detector } from '../detect/detector.ts';
import { type Comparison, compareModels } from '../evaluate/compare.ts';
import { promptCategories } from '../evaluate/protocol.ts';
import { scoreDataset } from '../evaluate/score-dataset.ts';
import type { ComparedPrompt } from '../evaluate/token-drift.ts';
import { detectionOf, type LoadedModel } from '../models/family.ts';
import { refuseFixedPrompt } from '../models/fixed-prompt.ts';
import { identifyCheckpoint } from '../models/package/model-identity.ts';
import { isPackage, type ModelPackage, type ReadOptions, readSchemas } from '../models/package/package.ts';
import { createTokenizer } from '../models/tokenizer.ts';
import { readPlanSummary } from '../quant/plan-summary.ts';
import type { ThreadOptions } from '../runtime/threads.ts';
import {
  countSchema,
  datasetSchemas,
  inputSchema,
  modelSchema,
  optionalPath,
  overwriteSchemas,
  picturesSchema,
  threadSchemas,
} from './option-schemas.ts';
import { runStep } from './run-step.ts';
import { type InputSource, openLabelledInputs, type PictureOptions } from './samples.ts';
import { type ScoreResult, scoreDetections } from './score-step.ts';
import { type AnyModelSource, type DatasetOptions, openAnyModel } from './sources.ts';
import { checkStepFiles, type OverwriteOptions } from './step-files.ts';

/** Options of `compare`. */
export interface CompareStepOptions extends DatasetOptions, ReadOptions, ThreadOptions, OverwriteOptions {
  /** The float model. */
  readonly model: AnyModelSource;
  /** The model that was quantized from it. */
  readonly quantized: AnyModelSource;
  /** The images, whose categories together are the prompt. Of models that are no detectors of dino8: arrays or pictures. */
  readonly dataset: InputSource;
  /** How pictures become the input, for a model that is no detector of dino8. */
  readonly pictures?: PictureOptions | undefined;
  /** Runs both models on the first images or other inputs, this many; 32 by default. */
  readonly images?: number | undefined;
  /** Scores both models on the images too, if they are labelled; this takes as long again. True by default. */
  readonly accuracy?: boolean | undefined;
  /** The HTML file to write with tables and a chart. */
  readonly report?: string | undefined;
}

const schemas: OptionSchemas<CompareStepOptions> = {
  ...datasetSchemas,
  ...readSchemas,
  ...threadSchemas,
  ...overwriteSchemas,
  model: modelSchema,
  quantized: modelSchema,
  dataset: inputSchema,
  pictures: picturesSchema,
  images: countSchema,
  accuracy: optional(truth),
  report: optionalPath,
};

/** The result of `compare`. */
export interface CompareResult extends Comparison {
  /** The score of the quantized detector, and its change against the float one; undefined without labelled images. */
  readonly accuracy?: ScoreResult | undefined;
}

/** The defaults of `CompareStepOptions`. */
export const COMPARE_DEFAULTS: Defaults<CompareStepOptions, 'images'> = { images: 32 };

/**
 * Measures how far a quantized model departs from its float model: the noise after each layer, and the figures of the model's
 * family. For a detector these are the boxes and scores of the queries that both select; for a model of which dino8 knows
 * nothing, the relative error of the outputs, the ratio of signal to noise, and the fraction of equal decisions. For a detector it also says
 * how far the logits of each phrase moved. Detectors are scored on labelled images too, each with queries of its own.
 *
 * @throws UsageError if the quantized model comes first, or has other inputs or outputs; InputError if one is made for fixed phrases;
 * RuntimeError if one of them does not run
 * @example
 * const { layers } = await compare({ model: 'tiny.onnx', quantized: 'tiny.int8.onnx', dataset: 'coco/val2017' });
 */
export async function compare(options: CompareStepOptions): Promise<CompareResult> {
  return runStep('compare', schemas, options, async () => {
    const { images: count = COMPARE_DEFAULTS.images, pictures, report, onProgress, signal } = options;
    await checkStepFiles({
      outputs: [report],
      models: [options.model, options.quantized],
      tokenizer: options.tokenizer,
      data: [options.dataset],
      overwrite: options.overwrite,
    });
    const { skipUnreadable, onLeftOut, onNotice } = options;
    const float = await openAnyModel(options.model, options);
    const quantized = await openAnyModel(options.quantized, { onNotice: options.onNotice });
    checkPair(float, quantized, onNotice);
    const reading = { onProgress, signal, skipUnreadable, onLeftOut, onNotice, count, pictures };
    const { dataset, samples: inputs } = await openLabelledInputs(float, options.dataset, reading);
    const prompt = dataset && isPackage(float) ? comparedPrompt(float, dataset, onNotice) : undefined;
    const comparison = await compareModels(float, quantized.model, inputs, { prompt, onProgress, signal });
    const scored =
      dataset && isPackage(float) && isPackage(quantized) && options.accuracy !== false
        ? await scoreBoth(float, quantized, dataset, { onProgress, signal })
        : undefined;
    if (report !== undefined) {
      // A page is passed on, so that it names files and not where they are on this machine.
      const samples = comparison.samples.map((sample) => ({ ...sample, source: basename(sample.source) }));
      const { renderComparison } = await import('../report/comparison-page.ts');
      await writeAtomic(report, renderComparison(basename(quantized.source), { ...comparison, samples }, scored));
    }
    return { ...comparison, accuracy: scored };
  });
}

/** @throws UsageError if the models change places; InputError if one is made for fixed phrases, while the prompt is the categories */
function checkPair(float: LoadedModel, quantized: LoadedModel, onNotice: WorkOptions['onNotice']): void {
  const [first, second] = [float, quantized].map(({ model }) => readPlanSummary(model));
  if (first && !second)
    throw new UsageError(
      `${float.source} is quantized and ${quantized.source} is not, while the float model comes first; give them in the other order.`,
    );
  for (const { model, source } of [float, quantized]) refuseFixedPrompt(model, source);
  if (first) onNotice?.(`${float.source} is quantized itself, so that changes are not those against a float model.`);
  const [weights, others] = [float, quantized].map(({ model }) => identifyCheckpoint(model).weights);
  if (weights !== undefined && others !== undefined && weights !== others)
    onNotice?.(
      `${float.source} and ${quantized.source} were made from different weights, so that changes are not those of quantization alone.`,
    );
}

/** The prompt of all samples: of categories that need several prompts, those of the first one. */
function comparedPrompt(
  { family, source, tokenizer }: ModelPackage,
  dataset: CocoDataset,
  onNotice: WorkOptions['onNotice'],
): ComparedPrompt | undefined {
  const categories = categoryPhrases(promptCategories(dataset));
  const words = createTokenizer(tokenizer, source);
  const { phrases, chunks } = detectionOf({ family, source }).createPrompt(categories, words);
  const [chunk] = chunks;
  if (chunk && chunks.length > 1)
    onNotice?.(
      `Layers, boxes and logits are compared by ${chunk.phrases.length} of ${phrases.length} categories, which fit into one prompt.`,
    );
  return chunk && { phrases, chunk };
}

/** The score of a quantized detector and its change against the float one; undefined if the images have no boxes. */
async function scoreBoth(
  float: ModelPackage,
  quantized: ModelPackage,
  dataset: CocoDataset,
  work: WorkOptions,
): Promise<ScoreResult | undefined> {
  if (dataset.annotations.length === 0) return undefined;
  const detect = async (source: ModelPackage, label: string) => {
    await using detector = await Detector.create(source);
    return (await scoreDataset(detector, dataset, { ...work, label })).detections;
  };
  const reference = await detect(float, 'Scoring the float model');
  return scoreDetections(dataset, await detect(quantized, 'Scoring the quantized model'), reference, work);
}
