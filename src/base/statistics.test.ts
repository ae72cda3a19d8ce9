/** Quantiles are compared with those of numpy.quantile with its default method. */
import { expect, test } from 'vitest';
import { median, quantile } from './statistics.ts';

test.each([
  [[3, 1, 2], 0.5, 2],
  [[4, 1, 3, 2], 0.5, 2.5],
  [[10, 20, 30, 40, 50, 60, 70, 80], 0.1, 17],
  [[10, 20, 30, 40, 50, 60, 70, 80], 0.9, 73],
  [[5], 0.3, 5],
  [[2, 1], 1, 2],
])('the quantile of %j at %d is %d', (values, fraction, expected) => {
  expect(quantile(values, fraction)).toBeCloseTo(expected, 12);
});

test('the median of an empty list is NaN', () => {
  expect(median([])).toBeNaN();
});
