/** The answer of a report compares how many objects two models find at a threshold, and tells a difference from chance. */
import { expect, test } from 'vitest';
import type { ReportedVariant } from './variants.ts';
import { compareFound, decide } from './verdict.ts';

const nothing = { found: 0, total: 0 };
const none = { lost: 0, gained: 0 };

/** A variant that finds so many of 2,000 objects; `only` are those that one of it and the reference finds. */
function finding(name: string, found: number, only?: { lost: number; gained: number }): ReportedVariant {
  const groups = {
    size: { small: { found, total: 2000 }, medium: nothing, large: nothing },
    occlusion: { free: { found, total: 2000 }, partly: nothing, mostly: nothing },
  };
  const unchanged = {
    size: { small: none, medium: none, large: none },
    occlusion: { free: none, partly: none, mostly: none },
  };
  const analysis = { ap: 0, causes: {} } as unknown as NonNullable<ReportedVariant['errors']>['analysis']; // is not read
  return {
    name,
    roundSeconds: [only ? 1 : 2],
    change: only && { AP: { value: 0, low: -0.001, high: 0.001 } },
    errors: { threshold: 0.35, analysis, groups, change: only && { ...only, groups: unchanged } },
  };
}

/** The probability that of `n` objects, each of either side with equal chance, one side has at least so few or many. */
function binomialTest(few: number, n: number): number {
  let [tail, term] = [0, 0.5 ** n];
  for (let k = 0; k <= few; k++) {
    tail += term;
    term *= (n - k) / (k + 1);
  }
  return Math.min(1, 2 * tail);
}

test('numbers of found objects differ where the exact binomial test says so, but for some that it nearly says so of', () => {
  for (let n = 1; n <= 60; n++)
    for (let gained = 0; gained <= n; gained++) {
      const lost = n - gained;
      const compared = compareFound(finding('int8', 1000 - lost + gained, { lost, gained }), finding('fp32', 1000));
      const probability = binomialTest(Math.min(lost, gained), n);
      if (probability < 0.04) expect(compared?.isChance, `${lost} and ${gained}`).toBe(false);
      if (probability > 0.06) expect(compared?.isChance, `${lost} and ${gained}`).toBe(true);
    }
});

test('what is shipped with the same AP and fewer objects at the threshold says so', () => {
  const fewer = decide([finding('fp32', 1600), finding('int8', 1500, { lost: 140, gained: 40 })], 0.5);
  expect(fewer.answer).toMatch(/^Ship int8/);
  expect(fewer.advice).toBe(
    'Choose its threshold anew: with boxes that score at least 0.35 it finds 1500 of 2000 objects, where fp32 finds 1600.',
  );
  expect(decide([finding('fp32', 1600), finding('int8', 1595, { lost: 15, gained: 10 })], 0.5).advice).toBeUndefined();
});
