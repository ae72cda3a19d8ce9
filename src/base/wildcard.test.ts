/** Wildcards are compared with a regular expression. */
import fc from 'fast-check';
import { expect, test } from 'vitest';
import { matchesWildcard } from './wildcard.ts';

test('any pattern matches the texts that the regular expression matches in which * is .*', () => {
  const letters = fc.string({ unit: fc.constantFrom('a', 'b', '.'), maxLength: 8 });
  const patterns = fc.array(letters, { minLength: 1, maxLength: 4 }).map((parts) => parts.join('*'));
  fc.assert(
    fc.property(patterns, letters, (pattern, text) => {
      const expression = pattern.replaceAll('.', '\\.').replaceAll('*', '.*');
      expect(matchesWildcard(pattern, text)).toBe(new RegExp(`^${expression}$`).test(text));
    }),
    { numRuns: 2000 },
  );
});
