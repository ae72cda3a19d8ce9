/** The step that shows what dino8 does: `compress` on the bundled model, and the size and speed of a model of the published size. */
import { join } from 'node:path';
import { callback, type OptionSchemas, optional, text, truth } from '../base/check-options.ts';
import { makeDirectory, writeAtomic } from '../base/files.ts';
import { packageVersion } from '../base/package-root.ts';
import type { WorkOptions } from '../base/progress.ts';
import { reserve } from '../base/reserve.ts';
import { bundledCalibration, bundledModel, bundledValidation } from '../data/bundled.ts';
import { readCheckpoint } from '../models/package/package.ts';
import type { PublishedSize } from '../report/published-size.ts';
import { defaultThreads, type ThreadOptions } from '../runtime/threads.ts';
import type { CompressResult, CompressTraining } from './compress-options.ts';
import { compressModels, phaseCounter } from './compress-step.ts';
import { measurePublishedSize, missingResources, PUBLISHED_SIZE_PHASES } from './measure-published-size.ts';
import { countSchema, overwriteSchemas, threadSchemas, workSchemas } from './option-schemas.ts';
import { report } from './report-step.ts';
import { publishedSizeSchema } from './result-schemas.ts';
import { runStep } from './run-step.ts';
import type { OverwriteOptions } from './step-files.ts';
import { StepRecords } from './step-records.ts';

/** Options of `demo`. */
export interface DemoOptions extends WorkOptions, ThreadOptions, OverwriteOptions {
  /** The folder to write: the models, `results.json`, and the state of the work. */
  readonly output: string;
  /** The HTML file of the report; `report.html` in `output` by default. */
  readonly report?: string | undefined;
  /**
   * Scores on the first of the 500 bundled images, this many; all by default, because the intervals of fewer are too wide to tell
   * whether a variant loses less than is allowed.
   */
  readonly images?: number | undefined;
  /** Leaves out the training. */
  readonly quick?: boolean | undefined;
  /** The command that started this, which the report shows to those who want to repeat it. */
  readonly command?: string | undefined;
  /** Forgets what an earlier demo did in `output`, and does everything again. */
  readonly fresh?: boolean | undefined;
  /** Called with the path of a folder with large files, which is removed at the end, before it is made. */
  readonly onScratch?: ((folder: string) => void) | undefined;
}

const schemas: OptionSchemas<DemoOptions> = {
  ...workSchemas,
  ...threadSchemas,
  ...overwriteSchemas,
  output: text,
  report: optional(text),
  images: countSchema,
  command: optional(text),
  quick: optional(truth),
  fresh: optional(truth),
  onScratch: optional(callback),
};

/** The recipes that are compared: the default, and everything that can be in 8 bits. */
const RECIPES = ['mixed', 'full'] as const;
/** Timed runs in each process. */
const RUNS = 15;
const CALIBRATION_IMAGES = 48;
/** A training of less than a minute on two cores, with the rate at which docs/training.md measured the gain. */
const TRAINING: CompressTraining = { recipe: 'full', steps: 40, batch: 12, learningRate: 1e-4, averageDecay: 0.9 };

/**
 * Runs `compress` on the bundled model and images, and measures what 8 bits bring at the published size, with random weights.
 * When it is called again with the same `output`, what is done is not done again.
 *
 * @throws UsageError if the package with the bundled data is not installed; the reason of `signal` if it was aborted
 * @example
 * const { variants, publishedSize } = await demo({ output: 'demo/' });
 */
export async function demo(options: DemoOptions): Promise<CompressResult> {
  return runStep('demo', schemas, options, async () => {
    const { output, quick = false, onScratch, onNotice, ...others } = options;
    const { threads = defaultThreads(), overwrite } = others;
    // They are asked for first, so that nothing is made and said where they are not installed.
    const data = {
      checkpoint: bundledModel(),
      dataset: bundledValidation(),
      calibration: bundledCalibration(),
    };
    await makeDirectory(output);
    const missing = await missingResources(output);
    if (missing !== undefined) onNotice?.(missing);
    let phase: PhaseCounter | undefined;
    const results = await compressModels(
      {
        ...others,
        ...data,
        onNotice,
        output,
        calibrationImages: CALIBRATION_IMAGES,
        recipes: RECIPES,
        runs: RUNS,
        title: 'dino8: GroundingDINO in 8 bits',
        qat: quick ? undefined : TRAINING,
      },
      (work, total) => {
        phase = phaseCounter(work, total + (missing === undefined ? PUBLISHED_SIZE_PHASES : 0));
        return phase;
      },
    );
    if (missing !== undefined || !phase) return results;
    const publishedSize = await showPublishedSize(join(output, 'state'), { phase, threads, onScratch, onNotice });
    const complete: CompressResult = { ...results, publishedSize };
    await writeAtomic(join(output, 'results.json'), `${JSON.stringify(complete, undefined, 2)}\n`);
    await report({ results: complete, output: results.report, overwrite });
    return complete;
  });
}

type PhaseCounter = ReturnType<typeof phaseCounter>;

/** Measures the model of the published size; what an earlier run measured is not measured again. */
async function showPublishedSize(
  state: string,
  {
    phase,
    threads,
    onScratch,
    onNotice,
  }: Pick<DemoOptions, 'onScratch' | 'onNotice'> & { phase: PhaseCounter; threads: number },
): Promise<PublishedSize> {
  const folder = join(state, 'published-size');
  onScratch?.(folder);
  await using _ = await reserve(state);
  await using records = await StepRecords.open(state, (sentence) => onNotice?.(sentence));
  const companions = await readCheckpoint(bundledModel());
  return records.do({
    name: 'published size',
    key: { version: packageVersion(), threads },
    schema: publishedSizeSchema,
    run: () => measurePublishedSize({ folder, companions, phase, threads }),
  });
}
