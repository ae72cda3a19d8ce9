/** The runs of detectors over one data set of which a step makes its result: each continues where it was interrupted. */
import { rm, rmdir } from 'node:fs/promises';
import { join } from 'node:path';
import { InputError } from '../base/errors.ts';
import { exists, fileError, isDirectory, makeDirectory } from '../base/files.ts';
import type { WorkOptions } from '../base/progress.ts';
import { stateBeside } from '../base/write-place.ts';
import type { CocoDataset } from '../data/coco.ts';
import { Detector } from '../detect/detector.ts';
import type { CocoDetection } from '../evaluate/coco-detection.ts';
import { type DatasetIdentity, identifyDataset, identifyPrompt } from '../evaluate/dataset-identity.ts';
import { type EvaluationJournal, openEvaluationJournal } from '../evaluate/evaluation-journal.ts';
import { scoreDataset } from '../evaluate/score-dataset.ts';
import type { ModelPackage } from '../models/package/package.ts';

/** One run: what it is called in progress reports, and what is different from the other runs. */
export interface ScoringRun {
  /** The name of the journal of this run, which no other run has. */
  readonly name: string;
  /** The name of the work in progress reports. */
  readonly label: string;
}

/** The detections of one image that is done are on disk before the next one begins, if the step writes an output. */
export class ScoringRuns {
  readonly #folder: string | undefined;
  readonly #identity: DatasetIdentity | undefined;
  readonly #work: WorkOptions;
  readonly #journals: string[] = [];

  private constructor(folder: string | undefined, identity: DatasetIdentity | undefined, work: WorkOptions) {
    this.#folder = folder;
    this.#identity = identity;
    this.#work = work;
  }

  /**
   * @param output the file that the step writes; without it nothing is kept
   * @throws InputError if the folder for the state cannot be made
   */
  static async open(output: string | undefined, dataset: CocoDataset, work: WorkOptions): Promise<ScoringRuns> {
    const folder = await stateBeside(output, '.partial');
    if (folder === undefined) return new ScoringRuns(undefined, undefined, work);
    if ((await exists(folder)) && !(await isDirectory(folder)))
      throw new InputError(`${folder} is the state of other work; remove it to start anew, or name another output.`);
    await makeDirectory(folder);
    return new ScoringRuns(folder, await identifyDataset(dataset, work), work);
  }

  /** Detects all categories of `dataset` with `source`. */
  async score(run: ScoringRun, source: ModelPackage, dataset: CocoDataset): Promise<readonly CocoDetection[]> {
    await using detector = await Detector.create(source, { signal: this.#work.signal });
    return await this.scoreWith(run, detector, source, dataset);
  }

  /** Detects all categories of `dataset` with a detector of `source` that is loaded. */
  async scoreWith(
    run: ScoringRun,
    detector: Detector,
    source: ModelPackage,
    dataset: CocoDataset,
  ): Promise<readonly CocoDetection[]> {
    const { onProgress, onNotice, signal } = this.#work;
    return this.keep(run, source, dataset, identifyPrompt(dataset), async (journal) => {
      const options = { onProgress, onNotice, signal, journal, label: run.label };
      return (await scoreDataset(detector, dataset, options)).detections;
    });
  }

  /**
   * Does a run with its journal.
   *
   * @param prompt what the prompts of the images are told apart by
   */
  async keep(
    { name }: ScoringRun,
    source: ModelPackage,
    dataset: CocoDataset,
    prompt: string,
    detect: (journal: EvaluationJournal | undefined) => Promise<readonly CocoDetection[]>,
  ): Promise<readonly CocoDetection[]> {
    if (this.#folder === undefined || !this.#identity) return detect(undefined);
    const path = join(this.#folder, `${name}.jsonl`);
    const identity = { ...this.#identity, prompt };
    await using journal = await openEvaluationJournal(path, source, dataset, { ...this.#work, identity });
    this.#journals.push(path);
    return await detect(journal);
  }

  /** Deletes the journals. Call it once the result is stored. */
  async remove(): Promise<void> {
    if (this.#folder === undefined) return;
    try {
      for (const path of this.#journals) await rm(path, { force: true });
      await rmdir(this.#folder);
    } catch (error) {
      throw fileError('write', this.#folder, error);
    }
  }
}
