/** An option or argument that is not possible is refused, and the message names it. */
import { expect, test } from 'vitest';
import {
  abortSignal,
  callback,
  checkOptions,
  checkPath,
  numberWithin,
  type OptionSchemas,
  oneOf,
  optional,
  text,
  truth,
  wholeNumber,
} from './check-options.ts';
import { UsageError } from './errors.ts';

interface Options {
  readonly path: string;
  readonly threads?: number;
  readonly threshold?: number;
  readonly isFast?: boolean;
  readonly kind?: string;
  readonly signal?: AbortSignal;
  readonly onDone?: () => void;
}

const schemas: OptionSchemas<Options> = {
  path: text,
  threads: optional(wholeNumber(1, 8)),
  threshold: optional(numberWithin(0, 1)),
  isFast: optional(truth),
  kind: optional(oneOf(['one', 'two'])),
  signal: optional(abortSignal),
  onDone: optional(callback),
};

/** As a caller in JavaScript gives them. */
const check = (options: unknown) => checkOptions('work', schemas, options as Options);

test('what is right passes, and undefined counts as left out', () => {
  check({ path: 'x', threads: 8, threshold: 0, isFast: false, kind: 'two', signal: AbortSignal.timeout(1e6) });
  check({ path: 'x', threads: undefined, unknown: undefined, onDone: () => undefined });
});

test.each([
  [{ path: 'x', treads: 3 }, 'work has no option `treads`; its options are path, threads, threshold,'],
  [{}, '`path` must be a text, not undefined.'],
  [{ path: '' }, '`path` must be a text that is not empty, not "".'],
  [{ path: 'x', threads: -5 }, '`threads` must be a whole number from 1 to 8, not -5.'],
  [{ path: 'x', threads: 100_000 }, '`threads` must be a whole number from 1 to 8, not 100000.'],
  [{ path: 'x', threads: '3' }, '`threads` must be a whole number from 1 to 8, not "3".'],
  [{ path: 'x', threshold: Number.NaN }, '`threshold` must be a number from 0 to 1, not NaN.'],
  [{ path: 'x', threshold: null }, '`threshold` must be a number from 0 to 1, not null.'],
  [{ path: 'x', isFast: 1 }, '`isFast` must be true or false, not 1.'],
  [{ path: 'x', kind: 'three' }, '`kind` must be one of one, two, not "three".'],
  [{ path: 'x', signal: {} }, '`signal` must be an AbortSignal, not an object.'],
  [{ path: 'x', onDone: [] }, '`onDone` must be a function, not a list.'],
  [null, 'work takes its options as an object, not null.'],
  ['x', 'work takes its options as an object, not "x".'],
])('%o is refused by name', (options, message) => {
  expect(() => check(options)).toThrow(UsageError);
  expect(() => check(options)).toThrow(message);
});

test('a path is a text', () => {
  checkPath('x');
  expect(() => checkPath(undefined as unknown as string)).toThrow('The path must be a text, not undefined.');
});
