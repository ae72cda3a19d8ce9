/** Templates escape arbitrary text: a parser of HTML reads it back unchanged. */
import fc from 'fast-check';
import { parseHTML } from 'linkedom';
import { expect, test } from 'vitest';
import { markup, trustedMarkup } from './markup.ts';
import { showHidden } from './printable.ts';

test('any text comes back as it was from content and from attributes', () => {
  // Characters that cannot be seen, such as U+2028, do not come back; the last test is about them.
  const visible = fc.string({ unit: 'grapheme' }).filter((text) => showHidden(text) === text);
  fc.assert(
    fc.property(visible, (text) => {
      const { document } = parseHTML(markup`<html><body><p title="${text}">${text}</p></body></html>`.toString());
      const paragraph = document.querySelector('p');
      expect(document.querySelectorAll('*')).toHaveLength(3);
      expect(paragraph?.textContent).toBe(text);
      expect(paragraph?.getAttribute('title')).toBe(text);
    }),
  );
});

test('markup within markup is not escaped again, lists are joined, and numbers are written as they are', () => {
  const items = ['a & b', '<c>'].map((text) => markup`<li>${text}</li>`);
  expect(String(markup`<ul data-count="${2}">${items}</ul>${trustedMarkup('<hr>')}`)).toBe(
    '<ul data-count="2"><li>a &#38; b</li><li>&#60;c&#62;</li></ul><hr>',
  );
});

test('characters that cannot be seen are shown as escapes', () => {
  expect(String(markup`${'a\0b\x1bc\td\u202e'}`)).toBe('a\\u0000b\\u001bc\td\\u202e');
});
