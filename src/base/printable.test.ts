/** Text that comes from files is printed on one line, of bounded length, without characters that cannot be seen. */
import fc from 'fast-check';
import { expect, test } from 'vitest';
import { InputError } from './errors.ts';
import { printable, showHidden } from './printable.ts';

/** Control characters, marks of direction and separators of lines, by the properties that Unicode gives them. */
const DANGEROUS = /\p{Cc}|\p{Bidi_Control}|\p{Zl}|\p{Zp}|\p{Cs}/u;

test('any text becomes one line of bounded length that controls nothing', () => {
  fc.assert(
    fc.property(fc.string({ unit: 'binary', maxLength: 200 }), fc.integer({ min: 1, max: 400 }), (text, times) => {
      const seen = printable(text.repeat(times));
      expect(seen).not.toMatch(DANGEROUS);
      expect(seen.length).toBeLessThanOrEqual(6 * 8192);
    }),
  );
});

test('text that can be seen stays as it is', () => {
  for (const text of ['a person. a dog.', 'Ein Größenmaß', '人 と 犬', '👩‍👩‍👧 and می‌خواهم'])
    expect([printable(text), showHidden(text)]).toEqual([text, text]);
});

test('a text of JSON stays the same JSON', () => {
  fc.assert(
    fc.property(fc.string({ unit: 'binary' }), (text) => {
      expect(JSON.parse(showHidden(JSON.stringify([text])))).toEqual([text]);
    }),
  );
});

test('names that are too long lose their middle, and messages of errors are safe to print', () => {
  const { message } = new InputError(
    `m.onnx: The initializer w\x1b[31m\nnote: ok\u202e${'x'.repeat(70_000)} is damaged.`,
  );
  expect(message).toMatch(/^m\.onnx: The initializer w\\u001b\[31m note: ok\\u202ex+…\[\d+ more\]…x+ is damaged\.$/);
  expect(message.length).toBeLessThan(700);
});
