/**
 * `dino8/train`: training in parts, for those whom the steps `train` and `qat` of `dino8` do not suit.
 *
 * @packageDocumentation
 */
export { planQuantizedTraining } from './pipeline/plan-quantized-training.ts';
export type { Batch, BatchSize } from './train/assemble-batch.ts';
export type { AugmentationStrength, Placement } from './train/augment.ts';
export { Batches, type BatchFamily, type BatchSettings } from './train/batches.ts';
export { type CreateTrainingOptions, createTraining, type Training } from './train/create-training.ts';
export { defaultPlan, type PlanChoices, type PlannedFor, type TrainingPlan } from './train/default-plan.ts';
export type { LearnedScale, TrainablePlan } from './train/learned-scales.ts';
export type { OptimizerSettings } from './train/optimizer.ts';
export type { ParameterGroup, TrainedParameter } from './train/parameter.ts';
export type { GroupSettings } from './train/parameter-groups.ts';
export { BLOCKS, type BlockName, type GroupRange, ParameterStore } from './train/parameter-store.ts';
export {
  type KeptWeights,
  type RunOptions,
  type RunResult,
  runTraining,
  type TrainingScore,
} from './train/run-training.ts';
export {
  type ConstantSchedule,
  type CosineSchedule,
  type Cycle,
  learningRate,
  type OneCycleSchedule,
  SCHEDULES,
  type Schedule,
  type TriangularSchedule,
} from './train/schedule.ts';
export type { LossSettings, LossSize } from './train/step-loss.ts';
export { buildStepModels, type StepModels, type StepSize } from './train/step-models.ts';
export {
  type BatchSource,
  DivergenceError,
  type StepReport,
  Trainer,
  type TrainerOptions,
  type TrainerSettings,
} from './train/trainer.ts';
export type { TrainingKey } from './train/training-key.ts';
export type { LogLine } from './train/training-log.ts';
export {
  type DefaultedOption,
  describePlan,
  resolveTrainingSettings,
  TRAINING_DEFAULTS,
  type TrainingKind,
  type TrainingOptions,
  type TrainingSettings,
  type TrainingStart,
} from './train/training-settings.ts';
export { writeCheckpoint } from './train/write-checkpoint.ts';
