/** The drift of logits is counted by hand: two queries find something, one of them the phrase of each row. */
import { expect, test } from 'vitest';
import { compareTokens } from '../models/grounding-dino/compare-outputs.ts';
import type { NamedOutputs } from '../models/named-outputs.ts';
import { floats } from '../runtime/tensor.ts';
import { addTokens, phraseDrifts } from './token-drift.ts';

/** [CLS] a . b c . [SEP] */
const chunk = {
  tokens: [101, 7, 1012, 8, 9, 1012, 102],
  phrases: [
    { phrase: 0, begin: 1, end: 2 },
    { phrase: 1, begin: 3, end: 5 },
  ],
};
const prompt = { phrases: ['a', 'b c'], chunk };
const NEVER = Number.NEGATIVE_INFINITY;

const outputsOf = (rows: readonly (readonly number[])[]): NamedOutputs => ({
  names: ['logits'],
  get: () =>
    floats(Float32Array.from(rows.flatMap(([a = 0, b = 0, c = 0]) => [-9, a, -9, b, c, -9, -9, NEVER])), [1, 3, 8]),
});

test('only queries that found something count, and apart those that found the phrase', () => {
  const float = outputsOf([
    [1, -4, -4], // finds a
    [-5, 2, 1], // finds b c
    [-6, -6, -6], // finds nothing
  ]);
  const quantized = outputsOf([
    [1.5, -4, -3],
    [-5, 2.25, 1],
    [9, 9, 9],
  ]);
  const tokens = compareTokens(float, quantized, chunk);
  const drifts = phraseDrifts(tokens, prompt);
  expect(drifts.map(({ phrase, all, own }) => ({ phrase, all, own }))).toEqual([
    {
      phrase: 'b c',
      all: { queries: 2, mean: (0 + 0.25 + 1 + 0) / 4, highest: 1 },
      own: { queries: 1, mean: 0.125, highest: 0.25 },
    },
    { phrase: 'a', all: { queries: 2, mean: 0.25, highest: 0.5 }, own: { queries: 1, mean: 0.5, highest: 0.5 } },
  ]);
  expect(drifts[0]?.tokens.map(({ token, all }) => [token, all.mean])).toEqual([
    [8, 0.125],
    [9, 0.5],
  ]);
  // Another sample in which nothing changed.
  const both = phraseDrifts(addTokens(tokens, compareTokens(float, float, chunk)), prompt);
  expect(both[0]?.all).toEqual({ queries: 4, mean: 1.25 / 8, highest: 1 });
});
