/** Pickles are read as inert data: whatever Python would call becomes a placeholder, in bounded time and memory. */
import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { Dino8Error, InputError } from '../../base/errors.ts';
import { readPickle } from './pickle.ts';
import { PERSISTENT, PickleGlobal, PickleObject, type PickleValue } from './pickle-values.ts';

/** A pickle from opcodes and text. */
const pickle = (...parts: (number | string)[]) =>
  Uint8Array.from(parts.flatMap((part) => (typeof part === 'number' ? [part] : [...new TextEncoder().encode(part)])));
const read = (...parts: (number | string)[]): PickleValue => readPickle(pickle(...parts), 'evil.pth').value;

/** The text `ls` as an opcode. */
const LS = ['X', 2, 0, 0, 0, 'ls'] as const;
const SYSTEM = 'cos\nsystem\n';

describe('what would be called in Python becomes a placeholder', () => {
  test.each([
    ['REDUCE', [0x80, 2, SYSTEM, '(', ...LS, 't', 'R', '.'], 'os.system', ['ls']],
    [
      'STACK_GLOBAL',
      [0x80, 4, 0x8c, 8, 'builtins', 0x8c, 4, 'eval', 0x93, ...LS, 0x85, 'R', '.'],
      'builtins.eval',
      ['ls'],
    ],
    ['NEWOBJ', [0x80, 2, SYSTEM, ...LS, 0x85, 0x81, '.'], 'os.system', ['ls']],
    ['NEWOBJ_EX', [0x80, 4, SYSTEM, ...LS, 0x85, '}', 0x92, '.'], 'os.system', ['ls']],
    ['INST', ['(', ...LS, 'i', 'os\nsystem\n', '.'], 'os.system', ['ls']],
    ['OBJ', ['(', SYSTEM, ...LS, 'o', '.'], 'os.system', ['ls']],
    ['EXT1', [0x80, 2, 0x82, 7, ')', 'R', '.'], 'extension code 7', []],
    ['EXT2', [0x80, 2, 0x83, 7, 1, ')', 'R', '.'], 'extension code 263', []],
    ['EXT4', [0x80, 2, 0x84, 7, 0, 0, 0, ')', 'R', '.'], 'extension code 7', []],
    ['PERSID', ['Pstorage\n', '.'], PERSISTENT, ['storage']],
    ['BINPERSID', [0x80, 2, ...LS, 0x85, 'Q', '.'], PERSISTENT, ['ls']],
  ] as const)('%s', (_, parts, callee, args) => {
    const value = read(...parts);
    expect(value).toBeInstanceOf(PickleObject);
    expect(value).toMatchObject({ callee, args });
  });

  test('BUILD keeps the state that __setstate__ or __dict__ would get', () => {
    const value = read(0x80, 2, SYSTEM, ')', 'R', '}', ...LS, 'K', 1, 's', 'b', '.');
    expect(value).toMatchObject({ callee: 'os.system', state: new Map([['ls', 1]]) });
  });

  test('entries and elements go into the placeholder', () => {
    const value = read(0x80, 2, SYSTEM, ')', 0x81, '(', ...LS, 'K', 1, 'u', 'K', 2, 'a', '(', 'K', 3, 'K', 4, 'e', '.');
    expect(value).toMatchObject({ entries: new Map([['ls', 1]]), elements: [2, 3, 4] });
  });

  test('a call of a call is a placeholder too', () => {
    expect(read(SYSTEM, ')', 'R', ')', 'R', '.')).toBeInstanceOf(PickleObject);
  });

  test('a global alone is its name', () => {
    expect(read(SYSTEM, '.')).toEqual(new PickleGlobal('os.system'));
  });
});

test('keys that have a meaning in JavaScript are only keys', () => {
  const value = read('}', 0x8c, 9, '__proto__', 'K', 1, 's', '.');
  expect(value).toEqual(new Map([['__proto__', 1]]));
  expect(({} as Record<string, unknown>).K).toBeUndefined();
});

test.each([
  ['LONG1 of a negative number', [0x80, 2, 0x8a, 1, 0xfe, '.'], -2],
  ['LONG4 beyond 53 bits', [0x80, 2, 0x8b, 9, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 1, '.'], 1n << 64n],
  [
    'numbers of protocol 0',
    ['(', 'I01\n', 'I-7\n', 'L12345678901234567890L\n', 'F1.5\n', 'l', '.'],
    [true, -7, 12345678901234567890n, 1.5],
  ],
  ['a dictionary of protocol 0', ['(', 'Va\n', 'I1\n', 'd', 'p0\n', '0', 'g0\n', '.'], new Map([['a', 1]])],
  ['bytes', [0x80, 3, 'C', 2, 1, 2, '.'], Uint8Array.of(1, 2)],
  ['a set', [0x80, 4, 0x8f, '(', 'K', 1, 0x90, '.'], [1]],
  ['a mark that is taken back', ['N', '(', 'K', 1, '1', '.'], null],
] as const)('%s is read', (_, parts, expected) => {
  expect(read(...parts)).toEqual(expected);
});

test.each([
  ['no end', [0x80, 2, '}'], /an end in the middle/],
  ['a length beyond the end', [0x80, 2, 'X', 0xff, 0xff, 0xff, 0x7f, 'a', '.'], /an end in the middle/],
  ['a length of eight bytes beyond the end', [0x80, 4, 0x8e, 0, 0, 0, 0, 0, 0, 0, 0xff, '.'], /an end in the middle/],
  ['an empty stack', [0x80, 2, 'R', '.'], /an empty stack/],
  ['a value from below a mark', ['N', '(', 0x85, '.'], /an empty stack/],
  ['a reference to nothing', [0x80, 2, 'h', 7, '.'], /a reference to nothing/],
  ['a call of data', [0x80, 2, '}', ')', 'R', '.'], /a call of something/],
  ['arguments that are no tuple', [SYSTEM, 'N', 'R', '.'], /arguments are no tuple/],
  ['a far future protocol', [0x80, 99, '.'], /protocol 99/],
  ['an unknown opcode', [0x80, 2, 0, '.'], /the opcode 0x0/],
  ['an end without a beginning', ['t', '.'], /an end without a beginning/],
  ['a number of a million bytes', [0x80, 2, 0x8b, 0x40, 0x42, 0x0f, 0, '.'], /a number of 1000000 bytes/],
  ['data outside of the file', [0x80, 5, 0x97, '.'], /outside of the file/],
  ['a global whose name is a list', [']', ']', 0x93, '.'], /whose name is no text/],
] as const)('%s is refused in one sentence', (_, parts, message) => {
  expect(() => read(...parts)).toThrow(InputError);
  expect(() => read(...parts)).toThrow(message);
});

describe('bounds', () => {
  test('lists that contain each other ten times over cost what the file costs', () => {
    const levels = 60;
    const parts: (number | string)[] = [']', 'q', 0];
    for (let level = 1; level <= levels; level++)
      parts.push(']', 'q', level, '(', ...Array.from({ length: 10 }, () => ['h', level - 1]).flat(), 'e');
    const start = process.cpuUsage().user;
    expect(read(...parts, '.')).toHaveLength(10);
    // As the name of a global it would be spelled out: 10^60 letters.
    expect(() => read(...parts, 'h', levels, 0x93, '.')).toThrow(/whose name is no text/);
    expect(process.cpuUsage().user - start).toBeLessThan(2e6);
  });

  test('a list that contains itself is read', () => {
    const value = read(']', 'q', 0, 'h', 0, 'a', '.') as PickleValue[];
    expect(value[0]).toBe(value);
  });

  test('300,000 elements and 200,000 tuples in each other are read', () => {
    expect(read(']', '(', 'N'.repeat(300_000), 'e', '.')).toHaveLength(300_000);
    // Matchers would follow the tuples into each other.
    const nested = Uint8Array.from([0x4e, ...new Uint8Array(200_000).fill(0x85), 0x2e]);
    expect(Array.isArray(readPickle(nested, 'deep.pth').value)).toBe(true);
  });

  test('more values than any checkpoint has are refused', () => {
    expect(() => read('}'.repeat(2_100_000), '.')).toThrow(/more than 2000000/);
  });

  test('a list of pairs that is made a dictionary again and again is refused', () => {
    const pairs = [']', '(', 'N', 'N', 0x86, 'q', 1, 'h\x01'.repeat(10_000), 'e', 0x85, 'q', 0, '0'];
    const again = ['ccollections\nOrderedDict\nq', 2, '0', 'h\x02h\x00R0'.repeat(10_000)];
    // 60 KB of a pickle: Python would go through a hundred million pairs.
    expect(() => read(...pairs, ...again, 'N', '.')).toThrow(/more than 2000000/);
  });

  test('more values to come back to than JavaScript keeps are refused', () => {
    const memoize = new Uint8Array(17_000_000).fill(0x94);
    memoize[0] = 0x4e;
    expect(() => readPickle(memoize, 'memo.pth')).toThrow(/more than 2000000 entries/);
  });
});

test('no sequence of opcodes gives anything but a value or a typed error', () => {
  const opcodes = [...'(.012FGIJKLMNPQRSTUVXabcdeghijlopqrstu})]'].map((letter) => letter.charCodeAt(0));
  const byte = fc.oneof({ weight: 4, arbitrary: fc.constantFrom(...opcodes) }, fc.integer({ min: 0, max: 255 }));
  fc.assert(
    fc.property(fc.array(byte, { maxLength: 200 }), (bytes) => {
      try {
        readPickle(Uint8Array.from([...bytes, 0x2e]), 'it');
      } catch (error) {
        if (!(error instanceof Dino8Error)) throw error;
        expect(error.message).not.toMatch(/\n/);
      }
    }),
    { numRuns: 5000 },
  );
});
