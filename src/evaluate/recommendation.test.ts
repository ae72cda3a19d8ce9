/** The rule by which a variant is recommended, on the cases in which it could be read in two ways. */
import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { type Candidate, recommendVariant } from './recommendation.ts';

const FP32 = { name: 'FP32', roundSeconds: [1, 1.1, 1], fileBytes: 100 };
const points = (value: number, low: number, high: number) => ({ value: value / 100, low: low / 100, high: high / 100 });
const variant = (name: string, seconds: readonly number[], change?: Candidate['change']): Candidate => ({
  name,
  roundSeconds: seconds,
  change,
  fileBytes: 25,
});

describe('the recommended variant', () => {
  test('is the fastest whose interval, and not only whose value, is within the allowed drop', () => {
    const found = recommendVariant([
      FP32,
      variant('sure', [0.5, 0.5, 0.5], points(-0.2, -0.4, 0.1)),
      variant('unsure', [0.2, 0.2, 0.2], points(0.1, -0.6, 0.9)),
      variant('bad', [0.1, 0.1, 0.1], points(-2, -3, -1)),
    ]);
    expect(found).toMatchObject({ decision: 'ship', variant: 'sure' });
    expect(found.judged.map(({ status }) => status)).toEqual([undefined, 'within', 'uncertain', 'beyond']);
  });

  test('is none without an interval, and the closest is named', () => {
    const [better, worse] = [
      { ...variant('better', [0.5]), averagePrecision: 0.6 },
      { ...variant('worse', [0.4]), averagePrecision: 0.5 },
    ];
    expect(recommendVariant([FP32, worse, better])).toMatchObject({ decision: 'none', closest: 'better' });
    expect(recommendVariant([FP32, worse, variant('measured', [0.5], points(-1, -1.4, -0.6))]).closest).toBe(
      'measured',
    );
  });

  test('is found by an end of the interval that is exactly the allowed drop', () => {
    const edge = variant('edge', [0.5, 0.5, 0.5], { value: -0.25, low: -0.5, high: 0 });
    expect(recommendVariant([FP32, edge], 50).decision).toBe('ship');
    expect(recommendVariant([FP32, edge], 49.99).decision).toBe('none');
  });

  test('is the more accurate of two whose rounds do not agree on which is faster', () => {
    const a = variant('a', [0.5, 0.48, 0.5], points(-0.2, -0.4, 0));
    const b = variant('b', [0.49, 0.49, 0.49], points(-0.1, -0.3, 0.1));
    expect(recommendVariant([FP32, a, b]).variant).toBe('b');
    expect(recommendVariant([FP32, b, a]).variant).toBe('b');
  });

  test('is, of two that are equally fast, the one that is surely faster than the reference', () => {
    const sure = variant('sure', [0.5, 0.9, 0.5], points(-0.2, -0.4, 0));
    const unsure = variant('unsure', [0.9, 0.4, 1.2], points(0.2, 0, 0.4));
    expect(recommendVariant([FP32, unsure, sure]).variant).toBe('sure');
  });

  test('is the reference only if none is as fast within the spread', () => {
    const slower = variant('slower', [1.2, 1.3, 1.2], points(0, -0.1, 0.1));
    expect(recommendVariant([FP32, slower])).toMatchObject({ decision: 'keep', variant: 'FP32' });
    const equal = variant('equal', [1.05, 1.05, 0.99], points(-0.1, -0.2, 0.1));
    expect(recommendVariant([FP32, equal])).toMatchObject({ decision: 'ship', variant: 'equal' });
  });

  test('is none where the reference has nothing to lose', () => {
    const other = variant('a', [0.5, 0.5, 0.5], points(0, -0.1, 0.1));
    expect(recommendVariant([{ ...FP32, averagePrecision: 0.004 }, other]).decision).toBe('meaningless');
    expect(recommendVariant([{ ...FP32, averagePrecision: 0.4 }, other]).decision).toBe('ship');
  });

  test('needs a reference, another variant, and the times of all that qualify', () => {
    expect(recommendVariant([]).decision).toBe('unmeasured');
    expect(recommendVariant([FP32]).decision).toBe('unmeasured');
    const untimed = { name: 'untimed', change: points(0, -0.1, 0.1) };
    expect(recommendVariant([FP32, untimed]).decision).toBe('unmeasured');
    expect(recommendVariant([{ name: 'FP32' }, variant('a', [1], points(0, 0, 0))]).decision).toBe('unmeasured');
  });

  test('never loses more than allowed, whatever is measured', () => {
    const estimate = fc
      .tuple(fc.double({ min: -1, max: 1, noNaN: true }), fc.double({ min: 0, max: 1, noNaN: true }))
      .map(([value, width]) => ({ value, low: value - width, high: value + width }));
    const candidate = fc.record({
      name: fc.uuid(),
      change: fc.option(estimate, { nil: undefined }),
      roundSeconds: fc.array(fc.double({ min: 1e-3, max: 10, noNaN: true }), { minLength: 0, maxLength: 3 }),
    });
    const property = fc.property(fc.array(candidate, { maxLength: 5 }), (others) => {
      const { variant: name, allowedDrop } = recommendVariant([FP32, ...others]);
      const chosen = others.find((each) => each.name === name);
      if (chosen) expect(100 * (chosen.change?.low ?? -1)).toBeGreaterThanOrEqual(-allowedDrop);
    });
    fc.assert(property, { numRuns: 200 });
  });
});
