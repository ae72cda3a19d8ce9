/** Numbers that JSON does not have, or that JavaScript would round, become texts; texts stay as they are. */
import fc from 'fast-check';
import { expect, test } from 'vitest';
import { InputError } from '../../base/errors.ts';
import { parseLooseJson } from './loose-json.ts';

test('any JSON value without long numbers is what JSON.parse says', () => {
  const value = fc.jsonValue({ stringUnit: 'binary' });
  fc.assert(
    fc.property(value, (any) => {
      const text = JSON.stringify(any);
      const hasLongNumber = /\d{16}/.test(text);
      fc.pre(!hasLongNumber);
      expect(parseLooseJson(text, 'it')).toEqual(JSON.parse(text));
    }),
  );
});

test.each([
  ['[NaN, -Infinity, Infinity]', ['NaN', '-Infinity', 'Infinity']],
  ['{"id": 12345678901234567890, "a": -1234567890123456}', { id: '12345678901234567890', a: '-1234567890123456' }],
  ['{"NaN 1234567890123456 \\"": NaN}', { 'NaN 1234567890123456 "': 'NaN' }],
  ['["\\\\", 1234567890123456, "\\\\\\"", 0.1234567890123456]', ['\\', '1234567890123456', '\\"', 0.1234567890123456]],
])('%s', (text, expected) => {
  expect(parseLooseJson(text, 'it')).toEqual(expected);
});

test('texts that do not end, or are very long, are read or refused in linear time', () => {
  expect(() => parseLooseJson(`1234567890123456 NaN ${'\\"'.repeat(1 << 20)}`, 'it')).toThrow(InputError);
  const long = 'x'.repeat(1 << 24);
  expect(parseLooseJson(`["${long}", 1234567890123456]`, 'it')).toEqual([long, '1234567890123456']);
});
