/**
 * A training from where it is to its end: steps, the log, a state on disk every few minutes and when it is interrupted, and
 * scores in between.
 */
import { join } from 'node:path';
import { InputError, messageOf } from '../base/errors.ts';
import { makeDirectory } from '../base/files.ts';
import { DivergenceError, type StepReport, type Trainer } from './trainer.ts';
import { TrainingLog } from './training-log.ts';
import { readTrainingState, writeTrainingState } from './training-state.ts';

export interface RunOptions {
  /** Where state and log are kept. */
  readonly directory: string;
  /** What the training depends on: see `TrainingHead`. */
  readonly key: string;
  readonly steps: number;
  readonly stepsPerEpoch: number;
  readonly imagesPerStep: number;
  readonly checkpointMinutes: number;
  /** Called after each step. */
  readonly onStep?: ((report: StepReport, imagesPerSecond: number) => void) | undefined;
  /** The score of the model as it is, every so many steps and at the end. */
  readonly score?: {
    readonly every: number;
    readonly run: () => Promise<{ AP: number; AP50: number; images: number }>;
  };
  readonly signal?: AbortSignal | undefined;
}

const STATE_FILE = 'training-state.safetensors';
const LOG_FILE = 'log.jsonl';

export interface RunResult {
  readonly log: TrainingLog;
  /** The steps that were done before. */
  readonly resumedAt: number;
}

/**
 * @throws DivergenceError if the loss is not a number, InputError if the state cannot be written, each naming the state
 * to go back to; the signal's reason if it was interrupted
 */
export async function runTraining(trainer: Trainer, options: RunOptions): Promise<RunResult> {
  const { directory, key, steps, signal, score } = options;
  await makeDirectory(directory);
  const path = join(directory, STATE_FILE);
  const resumedAt = await readTrainingState(trainer.store, key, path);
  const log = await TrainingLog.open(join(directory, LOG_FILE), resumedAt);
  let done = resumedAt;
  let saved = resumedAt;
  let savedAt = performance.now();
  const save = async () => {
    if (saved !== done || done === 0) await writeTrainingState(trainer.store, { step: done, key }, path);
    saved = done;
    savedAt = performance.now();
  };
  const toGoBackTo = () => (saved > 0 || resumedAt > 0 ? `${path} holds step ${saved}` : 'no step was saved yet');
  const addScore = async () => {
    if (!score || log.lines.some((line) => line.kind === 'score' && line.step === done)) return;
    await log.add({ kind: 'score', step: done, ...(await score.run()) });
  };
  try {
    if (done === 0) await addScore();
    while (done < steps) {
      signal?.throwIfAborted();
      const started = performance.now();
      const report = await trainer.step(done + 1);
      done = report.step;
      await log.add(lineOf(report, options, performance.now() - started));
      options.onStep?.(report, (1000 * options.imagesPerStep) / (performance.now() - started));
      if (score && done % score.every === 0) await addScore();
      if (performance.now() - savedAt >= options.checkpointMinutes * 60_000) await save();
    }
    await addScore();
    await save();
  } catch (error) {
    if (signal?.aborted) {
      await save();
      throw error;
    }
    if (error instanceof DivergenceError)
      throw new DivergenceError(
        `${error.message.replace(/\.$/, '')}; ${toGoBackTo()}: lower the learning rate, or the clipping norm, and start again.`,
      );
    if (error instanceof InputError)
      throw new InputError(`${messageOf(error).replace(/\.$/, '')}; ${toGoBackTo()}: mend it and start again.`);
    throw error;
  }
  return { log, resumedAt };
}

function lineOf(
  { step, loss, parts, distillation, rate, gradientNorm }: StepReport,
  options: RunOptions,
  milliseconds: number,
) {
  return {
    kind: 'step' as const,
    step,
    epoch: step / options.stepsPerEpoch,
    loss,
    ...parts,
    ...(distillation === undefined ? {} : { distillation }),
    rate,
    gradientNorm,
    imagesPerSecond: Math.round((1e5 * options.imagesPerStep) / milliseconds) / 100,
  };
}
