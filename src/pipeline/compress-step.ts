/**
 * The whole way from a checkpoint to measured INT8 models: convert, calibrate, quantize by several recipes, train, score,
 * compare, measure, report. Every step is recorded on disk, so that an interrupted call continues where it was.
 */

import { realpath, rm } from 'node:fs/promises';
import { basename, join, resolve } from 'node:path';
import { UsageError } from '../base/errors.ts';
import { exists, makeDirectory, sizeOf, writeAtomic } from '../base/files.ts';
import { packageVersion } from '../base/package-root.ts';
import type { WorkOptions } from '../base/progress.ts';
import { reserve } from '../base/reserve.ts';
import { median } from '../base/statistics.ts';
import { planCalibration } from '../data/calibration-plan.ts';
import { type CocoDataset, takeImages } from '../data/coco.ts';
import { identifyDataset, identifyLabels } from '../evaluate/dataset-identity.ts';
import { identifyCheckpoint } from '../models/package/model-identity.ts';
import type { ModelPackage } from '../models/package/package.ts';
import { modelHash } from '../onnx/hash.ts';
import type { Provenance } from '../report/provenance.ts';
import { decide } from '../report/verdict.ts';
import { defaultThreads } from '../runtime/threads.ts';
import { at, type Context } from './compress-context.ts';
import {
  compareAll,
  explainAll,
  findIntervals,
  inspectLast,
  measureAll,
  pickImages,
  ROUNDS,
  scoreVariant,
  type VariantScore,
} from './compress-judgement.ts';
import {
  type CompressedVariant,
  type CompressOptions,
  type CompressResult,
  compressSchemas,
  RESULTS_FORMAT,
  type ResolvedCompress,
  resolveCompressOptions,
} from './compress-options.ts';
import { fitOfRanges, makeVariants, needsImages, planVariants } from './compress-variants.ts';
import { describeMachine } from './describe-machine.ts';
import { withContents } from './plan-contents.ts';
import { report } from './report-step.ts';
import { runStep } from './run-step.ts';
import { openLabelled } from './samples.ts';
import { type DatasetFiles, openModel, readSource } from './sources.ts';
import { type SplitDataset, splitDataset } from './split-dataset.ts';
import { checkStepFiles } from './step-files.ts';
import { checkRecordsFolder, StepRecords } from './step-records.ts';

/**
 * Makes, scores and measures INT8 models of a checkpoint, and writes the models, a report and `results.json`. Nothing is
 * calibrated or trained on the images that it reports on. When it is called again with the same `output`, steps that are
 * done are not done again; a step whose options or inputs have changed is, and a notice names the change.
 *
 * @throws UsageError if options contradict each other or an input does not exist; InputError if an input is damaged; the
 * reason of `signal` if it was aborted
 * @example
 * const { variants, report } = await compress({
 *   checkpoint: 'grounding-dino-tiny/', dataset: 'coco/val2017', output: 'compressed/',
 * });
 */
export async function compress(given: CompressOptions): Promise<CompressResult> {
  return runStep('compress', compressSchemas, given, () => compressModels(given));
}

/** Numbers the phases of a work of which the total is known. */
export type PhaseCounter = (options: WorkOptions, total: number) => Context['phase'];

/** Does what `compress` does. @param countPhases numbers the phases, for a caller that has phases of its own */
export async function compressModels(
  given: CompressOptions,
  countPhases: PhaseCounter = phaseCounter,
): Promise<CompressResult> {
  const options = resolveCompressOptions(given);
  const planned = await planVariants(options);
  await makeDirectory(options.output);
  const [resultsFile, state] = [join(options.output, 'results.json'), join(options.output, 'state')];
  // Results of an earlier call may lie in the folder of the images, if the output was put there.
  const isContinued = await exists(state);
  await checkStepFiles({
    outputs: [options.report, resultsFile, ...planned.map(({ path }) => path)],
    models: [options.checkpoint],
    tokenizer: options.tokenizer,
    data: isContinued ? [] : [options.dataset, options.calibration],
    overwrite: options.overwrite,
  });
  if (isContinued)
    await checkStepFiles({
      outputs: [options.report],
      data: [options.dataset, options.calibration],
      overwrite: options.overwrite,
    });
  await using _ = await reserve(state);
  await checkRecordsFolder(state);
  if (options.fresh) await rm(state, { recursive: true, force: true });
  await makeDirectory(state);
  const needsCalibration = planned.some(({ recipe }) => recipe && needsImages(recipe));
  const phases = countPhases(options, 6 + planned.length + (planned.length - 1) + (needsCalibration ? 1 : 0));
  const reading = phases('read the checkpoint and the images');
  const float = await openModel(options.checkpoint, options);
  reading.signal?.throwIfAborted();
  const { calibration, scoring } = await chooseImages(options, float, reading);
  const count = Math.min(options.calibrationImages, calibration.images.length);
  await using records = await StepRecords.open(state, options.onNotice);
  const context: Context = {
    options,
    records,
    float,
    state,
    calibration,
    plan: await withContents(planCalibration(calibration, count, options.seed), reading),
    scoring,
    scoringIdentity: await identifyDataset(scoring, reading),
    phase: phases,
  };
  const made = await makeVariants(context, planned, needsCalibration);
  const scores: VariantScore[] = [];
  for (const variant of made) scores.push(await scoreVariant(context, variant));
  const intervals = await findIntervals(context, made);
  const errors = await explainAll(context, made);
  const agreements = await compareAll(context, made);
  const timings = await measureAll(context, made);
  context.phase('write the report');
  const variants = await Promise.all(
    made.map(async ({ name, description, path, plan, model }, index): Promise<CompressedVariant> => {
      const { figures, categories } = at(scores, index);
      const rounds = at(timings, index);
      const runSeconds = rounds.flatMap((timing) => timing.runSeconds);
      return {
        name,
        description,
        file: path,
        modelHash: model,
        fileBytes: await sizeOf(path),
        loadSeconds: median(rounds.map((timing) => timing.loadSeconds)),
        peakMemoryBytes: median(rounds.map((timing) => timing.peakMemoryBytes)),
        medianSeconds: median(runSeconds),
        runSeconds,
        roundSeconds: rounds.map((timing) => median(timing.runSeconds)),
        figures,
        ...at(intervals, index),
        categories,
        plan,
        agreement: agreements[index],
        errors: at(errors, index),
      };
    }),
  );
  const images = await pickImages(context, made, errors);
  const { allowedDrop } = options;
  const results: CompressResult = {
    format: RESULTS_FORMAT,
    version: packageVersion(),
    title: options.title,
    summary: summarize(context),
    report: options.report,
    outputFigures: float.family.outputFigures,
    allowedDrop,
    recommendation: decide(variants, allowedDrop).recommendation,
    variants,
    images,
    inspected: await inspectLast(made),
    activations: await fitOfRanges(context, made),
    provenance: provenanceOf(context),
  };
  await writeAtomic(resultsFile, `${JSON.stringify(results, undefined, 2)}\n`);
  const { missingImages } = await report({ results, output: options.report, overwrite: options.overwrite });
  for (const sentence of missingImages) options.onNotice(sentence);
  return results;
}

/** Numbers the phases in the labels of the progress. */
export function phaseCounter({ onProgress, signal }: WorkOptions, total: number): Context['phase'] {
  let number = 0;
  return (name) => {
    signal?.throwIfAborted();
    number++;
    const label = `${number} of ${total}: ${name}`;
    onProgress?.({ label, done: 0, total: 1 });
    return {
      signal,
      onProgress:
        onProgress && ((progress) => onProgress({ ...progress, label: `${label}, ${progress.label.toLowerCase()}` })),
    };
  };
}

async function chooseImages(
  { dataset, calibration, setAside, seed, images, ...options }: ResolvedCompress,
  float: ModelPackage,
  work: WorkOptions,
): Promise<SplitDataset> {
  const { skipUnreadable, onLeftOut, onNotice } = options;
  const checks = { ...work, skipUnreadable, onLeftOut, onNotice };
  const labelled = await readSource(dataset, { ...checks, purpose: 'scoring' });
  const chosen =
    calibration === undefined
      ? splitDataset(labelled, setAside, seed)
      : {
          calibration: await readSource(calibration, { ...checks, purpose: 'training', of: 'calibration' }),
          scoring: labelled,
        };
  const scoring = takeImages(chosen.scoring, images);
  await checkDisjoint(chosen.calibration, scoring);
  return {
    calibration: await openLabelled(float, chosen.calibration, {
      ...checks,
      ...(calibration !== undefined && { of: 'calibration' }),
    }),
    scoring: await openLabelled(float, scoring, checks),
  };
}

/** @throws UsageError if a picture is both calibrated and scored on, by whatever links it is named */
async function checkDisjoint(calibration: CocoDataset, scoring: CocoDataset): Promise<void> {
  const placesOf = ({ images, pathOf }: CocoDataset) =>
    Promise.all(images.map((image) => realpath(pathOf(image)).catch(() => resolve(pathOf(image)))));
  const scored = new Set(await placesOf(scoring));
  const common = (await placesOf(calibration)).filter((place) => scored.has(place)).length;
  if (common > 0)
    throw new UsageError(
      `${common} images of \`calibration\` are those of the data set, on which models are scored; give others, or leave it out to set a part aside.`,
    );
}

const nameOf = (source: string | DatasetFiles): string =>
  basename(resolve(typeof source === 'string' ? source : source.path));

function summarize({ options, scoring, calibration, plan }: Context): string {
  const { setAside, seed } = options;
  // A report is passed on, so that it names folders and not where they are on this machine.
  const dataset = nameOf(options.dataset);
  const scored = `Scored on ${scoring.images.length} images of ${dataset}, with ${scoring.categories.length} phrases in one prompt.`;
  const other =
    options.calibration === undefined
      ? `Calibrated on ${plan.items.length} of ${calibration.images.length} images that were set aside from it (a fraction of ${setAside}, chosen with the seed ${seed}) and are not among those scored.`
      : `Calibrated on ${plan.items.length} of ${calibration.images.length} images of ${nameOf(options.calibration)}.`;
  const trained = options.qat ? ` QAT was trained on all ${calibration.images.length} of them.` : '';
  return `${scored} ${other}${trained} Latency is the median of runs of the model on one image; memory is the peak of a process of its own.`;
}

function provenanceOf({ options, float, scoring, plan }: Context): Provenance {
  const { command, seed, runs, threads = defaultThreads(), calibration, dataset, checkpoint } = options;
  return {
    ...describeMachine(),
    command,
    threads,
    rounds: ROUNDS,
    runs,
    seed,
    checkpoint: {
      name: basename(resolve(checkpoint)),
      hash: modelHash(float.model),
      ...identifyCheckpoint(float.model),
    },
    dataset: identifyLabels(scoring, nameOf(dataset)),
    calibration: { name: nameOf(calibration ?? dataset), images: plan.items.length, hash: plan.key },
  };
}
