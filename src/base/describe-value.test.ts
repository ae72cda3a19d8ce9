/** Any value that a file can hold is shown in a few words. */
import { expect, test } from 'vitest';
import { describeValue } from './describe-value.ts';

test.each([
  ['a text', '"a text"'],
  [[1, 2, null], '[1,2,null]'],
  [undefined, 'nothing'],
  [JSON.parse('1e999'), 'Infinity'],
  ['x'.repeat(1000), `"${'x'.repeat(79)}…`],
  [JSON.parse('['.repeat(100_000) + ']'.repeat(100_000)), 'lists that are nested too deep'],
])('value %#', (value, expected) => {
  expect(describeValue(value)).toBe(expected);
});
