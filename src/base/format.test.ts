/** Numbers as people read them, beside what ECMA-402 says of signs: after rounding, and none at zero. */
import { expect, test } from 'vitest';
import { decimal, signed } from './format.ts';

/** The formatter of the standard, whose minus sign is a hyphen. */
const standard = (signDisplay: 'exceptZero' | 'negative') => {
  const digits = { minimumFractionDigits: 2, maximumFractionDigits: 2 };
  const format = new Intl.NumberFormat('en', { signDisplay, useGrouping: false, ...digits });
  return (value: number) => format.format(value).replace('-', '−');
};

const values = [0, -0, 0.004, -0.004, 0.0051, -0.0051, 1, -1, 66.664, -66.666, 1e-12, -1e-12];

test('a change has the sign of the number that is shown, and zero has none', () => {
  expect(values.map((value) => signed(value))).toEqual(values.map(standard('exceptZero')));
  expect(signed(-0.004)).toBe('0.00');
});

test('a number below zero has a minus sign, unless zero is shown', () => {
  expect(values.map((value) => decimal(value))).toEqual(values.map(standard('negative')));
});
