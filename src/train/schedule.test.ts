/** Learning rates are compared with those of PyTorch's schedulers (torch 2.13) for the same settings. */
import { expect, test } from 'vitest';
import { learningRate, type Schedule } from './schedule.ts';

const rates = (schedule: Schedule, steps: number, at: readonly number[]) =>
  at.map((step) => learningRate(schedule, step, steps));

const close = (actual: readonly number[], expected: readonly number[]) => {
  for (const [index, value] of expected.entries()) expect((actual[index] ?? 0) / value).toBeCloseTo(1, 5);
};

test('the cosine schedule has the rates of CosineAnnealingLR(T_max=99, eta_min=1e-5)', () =>
  close(
    rates({ kind: 'cosine', max: 1e-3, final: 0.01 }, 100, [0, 10, 50, 99]),
    [0.001, 0.0009752852032817679, 0.00049714634790177, 1e-5],
  ));

test('a rising cosine has the rates of SequentialLR(LinearLR(start_factor=1/6, total_iters=5), CosineAnnealingLR(T_max=94))', () =>
  close(
    rates({ kind: 'cosine', max: 1e-3, rise: 0.05, final: 0.01 }, 100, [0, 3, 4, 5, 50, 99]),
    [0.00016666666666666666, 0.0006666666666666668, 0.0008333333333333335, 0.001, 0.000538062353703835, 1e-5],
  ));

test('the one-cycle schedule has the rates of OneCycleLR(max_lr=1e-3, total_steps=100, pct_start=0.3)', () =>
  close(
    rates({ kind: 'one-cycle', max: 1e-3, rise: 0.3 }, 100, [0, 10, 29, 60, 99]),
    [4e-5, 0.00029516394846410075, 0.001, 0.0005892800902855287, 4e-9],
  ));

const cycle = { base: 1e-6, max: 1e-4, step: 20 };
const STEPS = [0, 10, 20, 35, 60, 90];

test('the triangular schedule has the rates of CyclicLR(base_lr=1e-6, max_lr=1e-4, step_size_up=20)', () =>
  close(rates({ kind: 'triangular', ...cycle }, 100, STEPS), [1e-6, 5.05e-5, 1e-4, 2.575e-5, 1e-4, 5.05e-5]));

test("the triangular2 schedule has the rates of CyclicLR(…, mode='triangular2')", () =>
  close(rates({ kind: 'triangular2', ...cycle }, 100, STEPS), [1e-6, 5.05e-5, 1e-4, 2.575e-5, 5.05e-5, 1.3375e-5]));

test('the constant schedule has one rate', () =>
  expect(rates({ kind: 'constant', max: 0.5 }, 10, [0, 9])).toEqual([0.5, 0.5]));
