/** The step that quantizes, on a toy model of which nothing is known but its graph. */
import { mkdtemp } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { beforeAll, describe, expect, test } from 'vitest';
import type { LoadedModel } from '../models/family.ts';
import { generic } from '../models/generic/family.ts';
import { parseRecipe } from '../quant/recipe.ts';
import { toyModel } from '../testing/toy-model.ts';
import { explainRecipe, quantize } from './quantize-step.ts';

const model: LoadedModel = { source: 'toy.onnx', model: toyModel(), family: generic };
let folder: string;
beforeAll(async () => {
  folder = await mkdtemp(join(tmpdir(), 'dino8-quantize-'));
});

describe('a recipe with the former name of weight-only', () => {
  const recipe = parseRecipe("description: all\nrules: [{ match: '**', treatment: weights }]", 'former.yaml');
  const notice = 'former.yaml says "treatment: weights", which is now called "weight-only"; please rename it.';

  test('is explained with a notice', async () => {
    const notices: string[] = [];
    const layers = await explainRecipe({ model, recipe, onNotice: (sentence) => notices.push(sentence) });
    expect(new Set(layers.map(({ treatment }) => treatment))).toEqual(new Set(['weight-only']));
    expect(notices).toEqual([notice]);
  });

  test('is carried out with one notice, as it was explained', async () => {
    const notices: string[] = [];
    const output = join(folder, 'former.onnx');
    const { explained } = await quantize({ model, recipe, output, onNotice: (sentence) => notices.push(sentence) });
    expect(explained).toEqual(await explainRecipe({ model, recipe }));
    expect(notices).toEqual([notice]);
  });
});
