/** Tokens, positions and masks of prompts are those of transformers (test/fixtures/phrases/make.py). */
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import fc from 'fast-check';
import { beforeAll, describe, expect, test } from 'vitest';
import { packageRoot } from '../../base/package-root.ts';
import { readPackage } from '../package/package.ts';
import { createTokenizer, type Tokenizer } from '../tokenizer.ts';
import { createPrompt } from './prompt.ts';
import { tokenMasks } from './token-masks.ts';

interface ExpectedPrompt {
  readonly phrases: string[];
  readonly ids: number[];
  readonly mask: number[][];
  readonly positions: number[];
}

const expected: { plain: ExpectedPrompt[]; inner: ExpectedPrompt[]; unknown: number } = JSON.parse(
  readFileSync(join(packageRoot, 'test/fixtures/phrases/prompts.json'), 'utf8'),
);

let tokenizer: Tokenizer;
beforeAll(async () => {
  const model = await readPackage(join(packageRoot, 'assets/nano'));
  tokenizer = createTokenizer(model.tokenizer, model.source);
});

const exact = (phrases: readonly string[]) => phrases.map((phrase) => ({ exact: phrase }));

describe('against transformers', () => {
  test.each([...expected.plain, ...expected.inner])('$phrases', ({ phrases, ids, mask, positions }) => {
    const [chunk, ...others] = createPrompt(exact(phrases), tokenizer, 256).chunks;
    expect(others).toEqual([]);
    expect(chunk?.tokens).toEqual(ids);
    const masks = tokenMasks(ids);
    expect(masks.positionIds).toEqual(positions);
    expect([...masks.selfAttentionMask]).toEqual(mask.flat());
  });

  test('the unknown token', () => {
    expect(tokenizer.unknown).toBe(expected.unknown);
  });
});

test('a phrase never has a token inside that would end it', () => {
  const name = fc.array(fc.constantFrom('red', 'st.', '1.5', '?', '.', ' ', 'u.s.', '[SEP]'), { minLength: 1 });
  fc.assert(
    fc.property(fc.array(name, { minLength: 1, maxLength: 4 }), (names) => {
      const phrases = exact(names.map((parts) => `star ${parts.join('')}`));
      const [chunk] = createPrompt(phrases, tokenizer, 256).chunks;
      const ends = chunk?.tokens.flatMap((token, at) => (token === 1012 || token === 1029 ? [at] : []));
      expect(ends).toEqual(chunk?.phrases.map(({ end }) => end));
    }),
  );
});

describe('warnings', () => {
  const warnings = (phrases: string[] | string) => createPrompt(phrases, tokenizer, 256).warnings;

  test('of phrases that the tokenizer does not know', () => {
    expect(warnings(['желтый круг', 'red circle'])).toEqual([
      expect.stringMatching(/^The phrase "желтый круг" is mostly unknown/),
    ]);
    expect(warnings('🐱 star')).toEqual([expect.stringMatching(/mostly unknown/)]);
  });

  test('of phrases that are the same to the model', () => {
    expect(warnings(['red circle', 'Red  CIRCLE'])).toEqual([
      'The phrase "Red  CIRCLE" is the same to the model as "red circle"; each box goes to one of the two only.',
    ]);
    expect(warnings('star, star')).toEqual([expect.stringMatching(/is listed twice/)]);
  });

  test('of periods inside phrases, once for a prompt', () => {
    expect(warnings('St. Bernard, star')).toEqual([expect.stringMatching(/^In the phrase "St\. Bernard", periods/)]);
    expect(createPrompt(exact(['St. Bernard', '1.5 liter']), tokenizer, 256).warnings).toEqual([
      expect.stringMatching(/^In 2 phrases, such as "St\. Bernard", periods/),
    ]);
  });

  test('name the category that a phrase comes from', () => {
    expect(createPrompt([{ exact: 'круг', called: 'category' }], tokenizer, 256).warnings).toEqual([
      expect.stringMatching(/^The category "круг"/),
    ]);
    expect(() => createPrompt([{ exact: '-', called: 'category' }], tokenizer, 256)).toThrow(
      /^The category "-" has no words/,
    );
  });

  test('are none for a usual prompt', () => {
    expect(warnings('red circle, blue square, star')).toEqual([]);
  });
});
