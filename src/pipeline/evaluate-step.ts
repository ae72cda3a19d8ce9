/** The step that scores a model by COCO's protocol. */
import { writeAtomic } from '../base/files.ts';
import type { WorkOptions } from '../base/progress.ts';
import { Detector } from '../detect/detector.ts';
import { openEvaluationJournal } from '../evaluate/evaluation-journal.ts';
import { scoreDataset } from '../evaluate/score-dataset.ts';
import type { CocoFigures } from '../evaluate/score-matches.ts';
import type { ProviderName } from '../runtime/options.ts';
import { type ThreadOptions, withThreads } from '../runtime/threads.ts';
import { type DatasetSource, type ModelSource, openDataset, openModel } from './sources.ts';
import { checkStepFiles } from './step-files.ts';

/** Options of `evaluate`. */
export interface EvaluateOptions extends WorkOptions, ThreadOptions {
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
  /** Called with sentences about categories that the model will hardly find or cannot tell apart. */
  readonly onNotice?: ((sentence: string) => void) | undefined;
}

/** The average precision of one category. */
export interface CategoryScore {
  /** The category's number in the data set. */
  readonly id: number;
  /** Its name, which is the phrase of the prompt. */
  readonly name: string;
  /** Average precision from 0 to 1; −1 if the data set has no box of the category. */
  readonly AP: number;
}

/** The result of `evaluate`. */
export interface EvaluateResult {
  /** The number of images. */
  readonly images: number;
  /** COCO's 12 figures, from 0 to 1; −1 where there is nothing to score. */
  readonly figures: CocoFigures;
  /** The score of each category. */
  readonly categories: readonly CategoryScore[];
}

/**
 * Detects every category in every image and computes COCO's average precision as pycocotools does.
 *
 * @throws UsageError if the data set has no images or no categories; InputError if the state of an interrupted evaluation
 * belongs to another one
 * @example
 * const { figures } = await evaluate({ model: 'tiny.int8.onnx', dataset: 'coco/val2017', images: 500 });
 * console.log(100 * figures.AP);
 */
export async function evaluate(options: EvaluateOptions): Promise<EvaluateResult> {
  return withThreads(options.threads, async () => {
    const { threads, device, output, onProgress, onNotice, signal } = options;
    await checkStepFiles({ outputs: [output], models: [options.model], data: [options.dataset] });
    const dataset = await openDataset(options.dataset, options.images);
    const source = await openModel(options.model);
    await using detector = await Detector.create(source, { threads, ...(device && { providers: [device] }) });
    const journal =
      output === undefined
        ? undefined
        : await openEvaluationJournal(`${output}.partial`, source, dataset, { onProgress, signal });
    const scored = await scoreDataset(detector, dataset, { onProgress, onNotice, signal, journal });
    const categories = dataset.categories.map(({ id, name }) => ({
      id,
      name,
      AP: scored.averagePrecisionOf.get(id) ?? -1,
    }));
    const result = { images: scored.images, figures: scored.figures, categories };
    if (output !== undefined) await writeAtomic(output, `${JSON.stringify(result, undefined, 2)}\n`);
    await journal?.remove();
    return result;
  });
}
