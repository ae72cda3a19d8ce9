/** How the learning rate changes over the steps of a training. */
/** Base and largest rate, and the steps of one side of a triangle. */
export interface Cycle {
  readonly base: number;
  readonly max: number;
  readonly step: number;
}

export type Schedule =
  | { readonly kind: 'constant'; readonly max: number }
  /** From `max` along half a cosine to `max` · `final` (Loshchilov and Hutter 2016, https://arxiv.org/abs/1608.03983). */
  | { readonly kind: 'cosine'; readonly max: number; readonly final: number }
  /** Up to `max` in the share `rise` of the steps, then down to almost nothing (Smith and Topin 2017, https://arxiv.org/abs/1708.07120). */
  | { readonly kind: 'one-cycle'; readonly max: number; readonly rise: number }
  /** Up and down between `base` and `max` (Smith 2015, https://arxiv.org/abs/1506.01186); `triangular2`: each triangle half as high as the one before. */
  | ({ readonly kind: 'triangular' | 'triangular2' } & Cycle);

export const SCHEDULES = ['constant', 'cosine', 'one-cycle', 'triangular', 'triangular2'] as const;

/** PyTorch's OneCycleLR begins at max / 25 and ends at a ten-thousandth of that. */
const ONE_CYCLE_START = 1 / 25;
const ONE_CYCLE_END = ONE_CYCLE_START / 1e4;

const cosineBetween = (from: number, to: number, share: number) =>
  to + ((from - to) * (1 + Math.cos(Math.PI * share))) / 2;

/** The learning rate of step `step`, from 0, of `steps`. */
export function learningRate(schedule: Schedule, step: number, steps: number): number {
  const last = Math.max(1, steps - 1);
  switch (schedule.kind) {
    case 'constant':
      return schedule.max;
    case 'cosine':
      return cosineBetween(schedule.max, schedule.max * schedule.final, step / last);
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

function oneCycle({ max, rise }: { max: number; rise: number }, step: number, steps: number): number {
  const top = rise * steps - 1;
  if (step <= top) return cosineBetween(max * ONE_CYCLE_START, max, step / Math.max(top, 1e-9));
  return cosineBetween(max, max * ONE_CYCLE_END, (step - top) / Math.max(steps - 1 - top, 1e-9));
}
