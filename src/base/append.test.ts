/** Lists as long as a file makes them do not exhaust the stack. */
import { expect, test } from 'vitest';
import { append, maximum } from './append.ts';

test('a million items are added, where a spread throws', () => {
  const many = Array.from({ length: 1_000_000 }, (_, index) => index);
  expect(() => [].push(...(many as never[]))).toThrow(RangeError); // the type of an empty list
  const list: number[] = [-1];
  append(list, many);
  expect(list).toHaveLength(1_000_001);
  expect(list.at(-1)).toBe(999_999);
  expect(maximum(list)).toBe(999_999);
  expect(maximum([], 3)).toBe(3);
});
