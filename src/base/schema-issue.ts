/** What is wrong with a value from a file, in plain words: zod's own messages are written for programmers. */
import type { z } from 'zod';
import { describeValue } from './describe-value.ts';

/** The words for zod's names of types. */
const TYPES: Readonly<Record<string, string>> = {
  string: 'a text',
  number: 'a number',
  int: 'a whole number',
  boolean: 'true or false',
  array: 'a list',
  tuple: 'a list',
  object: 'an object with named values',
  record: 'an object with named values',
  null: 'null',
};

/** More choices than these are not listed. */
const MOST_CHOICES = 20;

type RawIssue = z.core.$ZodRawIssue;
type Issue = z.core.$ZodIssue;

/** Says what is wrong, as the second half of a sentence; for the option `error` of zod's parsers. */
export function sayIssue(issue: RawIssue): string {
  const expected = expectation(issue as Issue); // the same fields, but for the message
  if (expected !== undefined)
    return issue.input === undefined
      ? `it is missing, and must be ${expected}`
      : `it must be ${expected}, and is ${shown(issue.input)}`;
  switch (issue.code) {
    case 'too_small':
    case 'too_big':
      return `it must ${limit(issue)}${typeof issue.input === 'number' ? `, and is ${shown(issue.input)}` : ''}`;
    case 'not_multiple_of':
      return `it must be a multiple of ${issue.divisor}, and is ${shown(issue.input)}`;
    case 'unrecognized_keys':
      return `it has the unknown ${issue.keys.length > 1 ? 'fields' : 'field'} ${issue.keys.slice(0, MOST_CHOICES).map(describeValue).join(', ')}`;
    case 'invalid_format':
      return issue.format === 'datetime'
        ? 'it must be a date with a time, as ISO 8601 has them'
        : `it is no valid text (${shown(issue.input)})`;
    case 'invalid_key':
      return `it has a name that is not allowed: ${issue.issues[0]?.message ?? ''}`;
    default:
      return `${shown(issue.input)} is not allowed`;
  }
}

/** What a value must be, as a noun; undefined if it is the right kind of value, or if there is no noun for it. */
function expectation(issue: Issue): string | undefined {
  if (issue.code === 'invalid_type') return TYPES[issue.expected] ?? `of the type ${issue.expected}`;
  if (issue.code === 'invalid_value')
    return issue.values.length > MOST_CHOICES ? 'one of the known words' : anyOf(issue.values.map(describeValue));
  if (issue.code !== 'invalid_union') return undefined;
  const nouns = issue.errors.map(([first]) => (first && first.path.length === 0 ? expectation(first) : undefined));
  return nouns.length > 0 && nouns.every((noun) => noun !== undefined) ? anyOf([...new Set(nouns)]) : undefined;
}

const anyOf = (choices: readonly string[]): string =>
  choices.length < 2 ? (choices[0] ?? '') : `${choices.slice(0, -1).join(', ')} or ${choices.at(-1)}`;

/** JSON has no infinite numbers. */
const shown = (value: unknown): string => (typeof value === 'number' ? `${value}` : describeValue(value));

/** What is counted in a value that may be too long. */
const UNITS: Readonly<Record<string, string | undefined>> = {
  string: 'characters',
  array: 'entries',
  set: 'entries',
  map: 'entries',
};

function limit(issue: z.core.$ZodRawIssue<z.core.$ZodIssueTooSmall | z.core.$ZodIssueTooBig>): string {
  const isSmall = issue.code === 'too_small';
  const bound = isSmall ? issue.minimum : issue.maximum;
  const unit = UNITS[issue.origin];
  if (unit === undefined) {
    if (issue.inclusive) return `be ${isSmall ? 'at least' : 'at most'} ${bound}`;
    return `be ${isSmall ? 'more than' : 'less than'} ${bound}`;
  }
  if (isSmall && bound === 1) return 'not be empty';
  return `have ${issue.exact ? 'exactly' : isSmall ? 'at least' : 'at most'} ${bound} ${unit}`;
}

/** The place of an issue in a value, and its sentence. Of a value that may have several forms, that of the nearest form. */
export function placeOf(issue: Issue): { readonly path: readonly PropertyKey[]; readonly message: string } {
  if (issue.code !== 'invalid_union') return issue;
  const firsts = issue.errors.flatMap(([first]) => (first ? [first] : []));
  const [nearest] = firsts.toSorted((a, b) => b.path.length - a.path.length);
  if (!nearest || nearest.path.length === 0) return issue;
  const inner = placeOf(nearest);
  return { path: [...issue.path, ...inner.path], message: inner.message };
}
