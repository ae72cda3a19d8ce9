/** Schedules: how the learning rate changes over the steps of a training. */
import { checkFields } from '../base/check-options.ts';

/** The settings of a triangular schedule. */
export interface Cycle {
  /** The minimum of the learning rate. */
  readonly base: number;
  /** The maximum of the learning rate. */
  readonly max: number;
  /** The number of steps of one side of a triangle. */
  readonly step: number;
}

/**
 * A schedule with its settings.
 * - `constant`: the rate is always `max`.
 * - `cosine`: the rate rises along a line to `max` in the fraction `rise` of the steps, and then falls along half a cosine to
 *   `max` · `final` (Loshchilov and Hutter 2016, https://arxiv.org/abs/1608.03983).
 * - `one-cycle`: the rate rises to `max` in the fraction `rise` of the steps, and then falls to almost 0 (Smith and Topin
 *   2017, https://arxiv.org/abs/1708.07120).
 * - `triangular`: the rate moves up and down between `base` and `max` (Smith 2015, https://arxiv.org/abs/1506.01186).
 * - `triangular2`: the same, and each triangle is half as high as the one before.
 */
export type Schedule = ConstantSchedule | CosineSchedule | OneCycleSchedule | TriangularSchedule;

/** The rate does not change. */
export interface ConstantSchedule {
  /** The name of the schedule. */
  readonly kind: 'constant';
  /** The learning rate. */
  readonly max: number;
}

/** The rate rises along a line and falls along half a cosine. */
export interface CosineSchedule {
  /** The name of the schedule. */
  readonly kind: 'cosine';
  /** The maximum of the learning rate. */
  readonly max: number;
  /** The fraction of the steps in which the rate rises, from 0 to 1; 0 by default, when the first step has the maximum. */
  readonly rise?: number | undefined;
  /** The learning rate of the last step, as a fraction of `max`. */
  readonly final: number;
}

/** The rate rises and then falls. */
export interface OneCycleSchedule {
  /** The name of the schedule. */
  readonly kind: 'one-cycle';
  /** The maximum of the learning rate. */
  readonly max: number;
  /** The fraction of the steps in which the rate rises, between 0 and 1. */
  readonly rise: number;
}

/** The rate moves up and down. */
export interface TriangularSchedule extends Cycle {
  /** The name of the schedule. */
  readonly kind: 'triangular' | 'triangular2';
}

/** The names of all schedules. */
export const SCHEDULES = ['constant', 'cosine', 'one-cycle', 'triangular', 'triangular2'] as const;

/** PyTorch's OneCycleLR begins at max / 25 and ends at a ten-thousandth of that. */
const ONE_CYCLE_START = 1 / 25;
const ONE_CYCLE_END = ONE_CYCLE_START / 1e4;

const cosineBetween = (from: number, to: number, fraction: number) =>
  to + ((from - to) * (1 + Math.cos(Math.PI * fraction))) / 2;

/**
 * The learning rate of a step.
 * @param step the number of the step, from 0
 * @param steps the number of steps of the whole training
 * @example
 * learningRate({ kind: 'cosine', max: 1e-4, final: 0.01 }, 0, 100); // 1e-4
 */
export function learningRate(schedule: Schedule, step: number, steps: number): number {
  checkFields('The schedule must have a kind and a rate', schedule, 'kind', 'max');
  switch (schedule.kind) {
    case 'constant':
      return schedule.max;
    case 'cosine':
      return risingCosine(schedule, step, steps);
    case 'one-cycle':
      return oneCycle(schedule, step, steps);
    case 'triangular':
    case 'triangular2': {
      const cycle = Math.floor(1 + step / (2 * schedule.step));
      const distance = Math.abs(step / schedule.step - 2 * cycle + 1);
      const height = schedule.kind === 'triangular' ? 1 : 1 / 2 ** (cycle - 1);
      return schedule.base + (schedule.max - schedule.base) * Math.max(0, 1 - distance) * height;
    }
  }
}

function risingCosine({ max, final, rise = 0 }: CosineSchedule, step: number, steps: number): number {
  const rising = Math.floor(rise * steps);
  if (step < rising) return (max * (step + 1)) / (rising + 1);
  return cosineBetween(max, max * final, (step - rising) / Math.max(1, steps - 1 - rising));
}

function oneCycle({ max, rise }: { max: number; rise: number }, step: number, steps: number): number {
  const top = rise * steps - 1;
  if (step <= top) return cosineBetween(max * ONE_CYCLE_START, max, step / Math.max(top, 1e-9));
  return cosineBetween(max, max * ONE_CYCLE_END, (step - top) / Math.max(steps - 1 - top, 1e-9));
}
