/** Recipes as text, and the patterns in them. */
import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { InputError } from '../base/errors.ts';
import { matchesPath } from './match-path.ts';
import { parseRecipe, readRecipe } from './recipe.ts';

describe('patterns', () => {
  test.each([
    ['a.b.c', 'a.b.c', true],
    ['a.*.c', 'a.b.c', true],
    ['a.*', 'a.b.c', false],
    ['**', 'a.b.c', true],
    ['**.c', 'c', true],
    ['a.**.c', 'a.c', true],
    ['a.**', 'a', true],
    ['**.l*r.c', 'x.layer.c', true],
    ['**.l*r.c', 'x.layers.c', false],
    ['a*b', 'ab', true],
    ['a*b*c', 'a-c', false],
  ])('%s on %s: %s', (pattern, path, expected) => {
    expect(matchesPath(pattern, path)).toBe(expected);
  });

  test('match as their definition says, for any number of `**`', () => {
    const segment = fc.constantFrom('a', 'b', 'ab');
    const part = fc.oneof(segment, fc.constantFrom('*', '**', 'a*'));
    fc.assert(
      fc.property(
        fc.array(part, { minLength: 1, maxLength: 6 }),
        fc.array(segment, { minLength: 1, maxLength: 6 }),
        (pattern, path) => matchesPath(pattern.join('.'), path.join('.')) === matchesByDefinition(pattern, path),
      ),
      { numRuns: 2000 },
    );
  });

  test('with many `**` are matched without trying every way to divide the segments', () => {
    const path = new Array(300).fill('a').join('.');
    expect(matchesPath(`${'**.a.'.repeat(60)}b`, path)).toBe(false);
    expect(matchesPath(`${'**.a.'.repeat(60)}**`, path)).toBe(true);
  });
});

/** `**` takes none, one or more segments; every other part takes one. */
function matchesByDefinition([part, ...rest]: readonly string[], path: readonly string[]): boolean {
  if (part === undefined) return path.length === 0;
  if (part === '**')
    return path.some((_, at) => matchesByDefinition(rest, path.slice(at))) || matchesByDefinition(rest, []);
  const [segment = '', ...others] = path;
  const isMatch = new RegExp(`^${part.replace('*', '.*')}$`).test(segment);
  return path.length > 0 && isMatch && matchesByDefinition(rest, others);
}

describe('recipes', () => {
  test.each([
    ['rules: []', /at description/],
    ['description: x\nrules: [{match: a, treatment: int3}]', /at rules\.0\.treatment/],
    [
      'description: x\nrules: [{match: a, treatment: float, bits: 3}]',
      /at rules\.0: it has the unknown field "bits"\.$/,
    ],
    ['a: [', /not valid YAML/],
    [
      'description: x\nrules: [{match: a, treatment: dynamic, observer: mse}]',
      /at rules\.0\.observer: it applies to static/,
    ],
    [
      'description: x\nrules: [{match: a, treatment: static, range: [0, 1], symmetric: true}]',
      /has no effect on a range/,
    ],
    ['description: x\nrules: [{match: a, treatment: static, range: [1, 0]}]', /minimum of a range/],
    ['description: x\nrules: [{match: a, treatment: float, weights: { bits: 4 }}]', /are not quantized/],
    ['description: x\nrules: [{match: a, treatment: static, inputs: activations, clip: 99}]', /`inputs: weights` only/],
    ['description: x\nrules: [{match: a, treatment: static, operators: [Relu]}]', /at rules\.0\.operators/],
  ])('%s is refused', (text, message) => {
    expect(() => parseRecipe(text, 'mine.yaml')).toThrow(message);
    expect(() => parseRecipe(text, 'mine.yaml')).toThrow(InputError);
  });

  test('the bundled ones are found by name, others by path', async () => {
    expect((await readRecipe('dynamic')).name).toBe('dynamic');
    await expect(readRecipe('best')).rejects.toThrow(/bundled ones are .*dynamic/);
    await expect(readRecipe('./none.yaml')).rejects.toThrow(/does not exist/);
  });

  test('with the former name of weight-only are read, with a notice', () => {
    const text = (mode: string) => `description: x\nrules: [{match: a, treatment: ${mode}}]`;
    const { rules, notices } = parseRecipe(text('weights'), 'mine.yaml');
    expect(rules[0]?.treatment).toBe('weight-only');
    expect(notices).toEqual([expect.stringMatching(/^mine\.yaml .* now called "weight-only"/)]);
    expect(parseRecipe(text('weight-only'), 'mine.yaml').notices).toEqual([]);
  });
});
