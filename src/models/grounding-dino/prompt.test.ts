/** Tokens, positions and masks of prompts are those of transformers (test/fixtures/phrases/make.py). */
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
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
    const masks = tokenMasks(chunk?.tokens ?? [], chunk?.phrases);
    expect(masks.positionIds).toEqual(positions);
    expect([...masks.selfAttentionMask]).toEqual(mask.flat());
  });

  test.each(expected.plain)('the tokens of $phrases alone give the same masks', ({ ids, mask, positions }) => {
    const masks = tokenMasks(ids);
    expect(masks.positionIds).toEqual(positions);
    expect([...masks.selfAttentionMask]).toEqual(mask.flat());
  });

  test('the unknown token', () => {
    expect(tokenizer.unknown).toBe(expected.unknown);
  });
});

test('for the combined model, which finds phrases by their tokens, a period inside a phrase is left out', () => {
  const [chunk] = createPrompt(exact(['St. red circle']), tokenizer, 256, 'combined').chunks;
  const [halves] = createPrompt(exact(['St. red circle']), tokenizer, 256).chunks;
  expect(chunk?.tokens).toEqual([
    ...(halves?.tokens.filter((token, at) => token !== 1012 || at === (halves.tokens.length ?? 0) - 2) ?? []),
  ]);
  const { positionIds } = tokenMasks(chunk?.tokens ?? []);
  expect(Math.max(...positionIds)).toBe((chunk?.tokens.length ?? 0) - 4);
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
