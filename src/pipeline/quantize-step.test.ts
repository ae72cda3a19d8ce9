/** The step that quantizes, on a toy model of which nothing is known but its graph. */
import { mkdtemp } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { beforeAll, describe, expect, test } from 'vitest';
import { InputError } from '../base/errors.ts';
import type { LoadedModel } from '../models/family.ts';
import { generic } from '../models/generic/family.ts';
import { copyModel } from '../onnx/copy.ts';
import { setMetadata } from '../onnx/metadata.ts';
import { readModel } from '../onnx/read.ts';
import { readPlanSummary } from '../quant/plan-summary.ts';
import { parseRecipe } from '../quant/recipe.ts';
import { toyFeeds, toyModel } from '../testing/toy-model.ts';
import { inspect } from './inspect-step.ts';
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

describe('the summary of a plan', () => {
  const recipe = parseRecipe(
    JSON.stringify({
      description: 'some layers',
      rules: [
        { match: '**', operators: ['MatMul'], treatment: 'dynamic' },
        { match: 'toy.fc*', treatment: 'float' },
      ],
    }),
    'some.yaml',
  );

  test('is in the file, and says what was explained', async () => {
    const output = join(folder, 'some.onnx');
    const { explained, layers } = await quantize({ model, recipe, output });
    const summary = readPlanSummary(await readModel(output));
    expect(summary).toMatchObject({ recipe: 'some', target: 'ort-cpu', layers, techniques: [] });
    const float = explained.filter(({ treatment, inputs }) => treatment === 'float' && inputs === 'weights');
    expect(summary?.floatLayers.map(({ path }) => path)).toEqual(expect.arrayContaining(['toy.fc1', 'toy.fc2']));
    expect(summary?.floatLayers.reduce((sum, { count }) => sum + count, 0)).toBe(float.length);
    await expect(quantize({ model: output, recipe, output: join(folder, 'twice.onnx') })).rejects.toThrow(
      /some\.onnx is quantized already, by the recipe some for the target ort-cpu; quantize the float model/,
    );
    const shapes = Object.fromEntries(Object.entries(toyFeeds(1)).map(([name, { shape }]) => [name, shape]));
    expect((await inspect({ model: output, shapes })).plan).toEqual(summary);
  });

  test('is undefined for a float model, and an error where it is damaged', async () => {
    const damaged = copyModel(model.model);
    expect(readPlanSummary(damaged)).toBeUndefined();
    for (const text of ['{', '{"recipe": 1}']) {
      setMetadata(damaged, 'dino8.quantization', text);
      expect(() => readPlanSummary(damaged)).toThrow(InputError);
    }
  });
});

test('a folder that does not exist is an error before the work, and not after it', async () => {
  const notices: string[] = [];
  const output = join(folder, 'nowhere', 'model.onnx');
  const quantizing = quantize({ model, recipe: 'generic', output, onNotice: (sentence) => notices.push(sentence) });
  await expect(quantizing).rejects.toThrow(/its folder does not exist; create it first/);
  expect(notices).toEqual([]);
});
