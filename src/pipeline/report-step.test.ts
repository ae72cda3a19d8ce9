/** Reports of several results: what belongs together is joined, and what does not is refused by the names of both. */
import { mkdtemp, readFile, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { parseHTML } from 'linkedom';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { packageRoot } from '../base/package-root.ts';
import { readAnnotations } from '../data/datasets/coco-json.ts';
import type { CocoDetection } from '../evaluate/coco-detection.ts';
import type { LabelsIdentity } from '../evaluate/dataset-identity.ts';
import { type BenchResult, summarize } from './bench-step.ts';
import type { ContributionResult } from './contribution-step.ts';
import { explainErrors } from './errors-step.ts';
import { report } from './report-step.ts';
import { originOf, type ResultOrigin } from './result-origin.ts';
import { score } from './score-step.ts';
import type { VocabularyResult } from './vocabulary-step.ts';

const golden = join(packageRoot, 'test/fixtures/golden/coco');
let folder: string;
const at = (name: string) => join(folder, name);
const save = (name: string, value: unknown) => writeFile(at(name), JSON.stringify(value));

/** Times of two models, of which the second takes half as long. */
const bench = (): BenchResult => {
  const measured = (seconds: number) => ({
    loadSeconds: 1,
    runSeconds: [seconds],
    medianSeconds: seconds,
    peakMemoryBytes: 1e9 * seconds,
    threads: 1,
  });
  const [slow, fast] = [[1, 1.1].map(measured), [0.5, 0.52].map(measured)];
  return {
    origin: originOf('bench', { subject: 'models/fp32.onnx' }),
    models: [summarize('models/fp32.onnx', 4e6, slow, undefined), summarize('models/int8.onnx', 1e6, fast, slow)],
    rounds: 2,
    runs: 1,
    threads: 1,
    loadBefore: 0,
  };
};

beforeAll(async () => {
  folder = await mkdtemp(join(tmpdir(), 'dino8-report-'));
  const annotations = join(golden, 'many_ground_truth.json');
  const truth = await readAnnotations(annotations);
  const detections: CocoDetection[] = truth.annotations.map(({ image_id, category_id, bbox }) => {
    return { image_id, category_id, bbox, score: 0.5 };
  });
  await save('fp32.json', detections);
  await save('int8.json', detections);
  const options = { annotations, output: at('fp32.score.json') };
  await score({ ...options, detections: at('fp32.json') });
  await score({ ...options, detections: at('int8.json'), against: at('fp32.json'), output: at('int8.score.json') });
  await explainErrors({ detections: at('int8.json'), annotations, output: at('int8.errors.json') });
  await save('bench.json', bench());
  const few = { ...truth, images: truth.images.slice(0, 20) };
  const kept = new Set(few.images.map(({ id }) => id));
  await save('few.json', { ...few, annotations: few.annotations.filter(({ image_id }) => kept.has(image_id)) });
  await save(
    'few.detections.json',
    detections.filter(({ image_id }) => kept.has(image_id)),
  );
  await score({ annotations: at('few.json'), detections: at('few.detections.json'), output: at('few.score.json') });
});
afterAll(() => rm(folder, { recursive: true }));

const files = (...names: string[]) => names.map(at);

describe('a report', () => {
  test('joins scores, times and errors by the names of the variants', async () => {
    const results = files('int8.score.json', 'fp32.score.json', 'bench.json', 'int8.errors.json');
    const made = await report({ results, output: at('report.html') });
    expect(made.answer).toBe(
      'Ship int8: 4.0× smaller, 2.1× faster (2.0 to 2.1), AP unchanged within chance (0.00 to 0.00).',
    );
    expect(made.variants.map(({ name }) => name)).toEqual(['fp32', 'int8']);
    expect(made.variants[1]?.errors?.analysis.causes.missed.count).toBe(0);
    const { document } = parseHTML(await readFile(at('report.html'), 'utf8'));
    expect(document.querySelector('.answer')?.textContent).toBe(made.answer);
    expect([...document.querySelectorAll('section')].map(({ id }) => id)).toEqual([
      '',
      'variants',
      'accuracy',
      'speed',
      'errors',
      'made',
    ]);
  });

  test('shows which phrase is taken for which, and the phrases and images that lose objects', async () => {
    const annotations = join(golden, 'many_ground_truth.json');
    const truth = await readAnnotations(annotations);
    const [taken, other] = truth.categories;
    if (!taken || !other) throw new Error('the golden file has two categories');
    const hasOther = new Set(
      truth.annotations.filter(({ category_id }) => category_id !== taken.id).map(({ image_id }) => image_id),
    );
    const mistaken = truth.annotations
      .filter(
        ({ category_id, image_id, iscrowd }) => iscrowd === 0 && category_id === taken.id && !hasOther.has(image_id),
      )
      .slice(0, 3);
    expect(mistaken.length).toBeGreaterThan(0);
    const detections: CocoDetection[] = JSON.parse(await readFile(at('fp32.json'), 'utf8'));
    const isMistaken = ({ image_id, bbox }: CocoDetection) =>
      mistaken.some((each) => each.image_id === image_id && each.bbox.join() === bbox.join());
    await save(
      'mistaken.json',
      detections.map((each) => (isMistaken(each) ? { ...each, category_id: other.id } : each)),
    );
    await explainErrors({
      detections: at('mistaken.json'),
      against: at('fp32.json'),
      annotations,
      output: at('mistaken.errors.json'),
    });
    await report({ results: at('mistaken.errors.json'), output: at('mistaken.html') });
    const { document } = parseHTML(await readFile(at('mistaken.html'), 'utf8'));
    const rowsOf = (caption: RegExp) =>
      [...document.querySelectorAll('table')]
        .filter((each) => caption.test(each.querySelector('caption')?.textContent ?? ''))
        .flatMap((each) => [...each.querySelectorAll('tr')])
        .map((row) => [...row.children].map(({ textContent }) => textContent));
    expect(rowsOf(/lost and gained against fp32, by phrase/)).toContainEqual([
      taken.name,
      `${mistaken.length} lost, 0 gained`,
    ]);
    const matrix = rowsOf(/on objects of the row/);
    const column = matrix[0]?.indexOf(other.name) ?? -1;
    expect(matrix.find(([name]) => name === taken.name)?.[column]).toBe(`${mistaken.length}`);
  });

  test('says the same as Markdown and as CSV', async () => {
    const { markdown, csv, answer } = await report({
      results: files('fp32.score.json', 'int8.score.json', 'bench.json'),
    });
    expect(markdown).toContain(`**${answer.replaceAll('<', '\\<')}**`);
    expect(markdown).toContain('| int8 **(ship)** |');
    const [heading = '', ...lines] = csv.trimEnd().split('\r\n');
    const columns = heading.split(',');
    expect(lines.map((line) => line.split(',').length)).toEqual([columns.length, columns.length]);
    expect(lines[1]?.split(',')[columns.indexOf('decision')]).toBe('ship');
    expect(Number(lines[1]?.split(',')[columns.indexOf('speedup')])).toBeCloseTo(2.06, 2);
  });

  test('without times recommends nothing, and says what to measure', async () => {
    const { recommendation, advice } = await report({ results: files('fp32.score.json', 'int8.score.json') });
    expect(recommendation.decision).toBe('unmeasured');
    expect(advice).toMatch(/Time all variants beside each other/);
  });

  test.each([
    [
      'different data sets',
      ['fp32.score.json', 'few.score.json'],
      /fp32\.score\.json is about .*, and \S*few\.score\.json about few\.json \(20 images/,
    ],
    ['the same twice', ['bench.json', 'bench.json'], /bench\.json and \S*bench\.json both have the time of fp32/],
    ['what is no result', ['fp32.json'], /fp32\.json is no result that this version of dino8 can report/],
    ['no file', ['none.json'], /none\.json does not exist/],
  ])('is not made of %s', async (_, names, message) => {
    await expect(report({ results: files(...names), output: at('none.html') })).rejects.toThrow(message);
    await expect(readFile(at('none.html'))).rejects.toThrow(/ENOENT/);
  });

  test('is not made of models with different configurations, and names both', async () => {
    const of = (subject: string, network: string) => ({
      ...bench(),
      origin: { ...originOf('bench', { subject }), network },
      models: [summarize(`${subject}.onnx`, 1, [], undefined)].map((model) => ({
        ...model,
        seconds: { median: 1, lowest: 1, highest: 1 },
        peakMemoryBytes: 1,
      })),
    });
    await save('tiny.json', of('tiny', 'a'));
    await save('base.json', of('base', 'b'));
    await expect(report({ results: files('tiny.json', 'base.json') })).rejects.toThrow(
      /tiny\.json is about the model tiny and \S*base\.json about base, whose configuration differs/,
    );
  });

  describe('of models whose files have one name', () => {
    /** What eval says of a model: scores of detections, with the hashes that are stated. */
    const evaluated = async (name: string, hashes: Partial<ResultOrigin>) => {
      const scored = JSON.parse(await readFile(at('int8.score.json'), 'utf8'));
      await save(name, { ...scored, origin: { ...scored.origin, ...hashes } });
    };
    const timed = (modelHashes: readonly string[], weights = 'w') => {
      const whole = bench();
      const models = whole.models.map((model, index) => {
        return { ...model, identity: { network: 'n', weights, modelHash: modelHashes[index] ?? '' } };
      });
      return { ...whole, models };
    };
    const first = { network: 'n', weights: 'w', modelHash: 'm1', detectionsHash: 'd1' };
    const second = { network: 'n', weights: 'w', modelHash: 'm2', detectionsHash: 'd2' };

    test('joins only what is of the same model', async () => {
      await evaluated('a.eval.json', first);
      await evaluated('b.eval.json', second);
      await save('times.json', timed(['m0', 'm2']));
      const { variants } = await report({ results: files('a.eval.json', 'b.eval.json', 'times.json') });
      expect(variants.map(({ name, medianSeconds }) => [name, medianSeconds])).toEqual([
        ['fp32', expect.closeTo(1.05)],
        ['int8 (a.eval.json)', undefined],
        ['int8 (b.eval.json)', expect.closeTo(0.51)],
      ]);
    });

    test('tells models of one result apart by their places', async () => {
      const { models, ...others } = timed(['m1', 'm2']);
      await save('same.json', { ...others, models: models.map((each, at) => ({ ...each, model: `${at}/int8.onnx` })) });
      const { variants } = await report({ results: at('same.json') });
      expect(variants.map(({ name }) => name)).toEqual(['int8 (model 1 of same.json)', 'int8 (model 2 of same.json)']);
    });

    test('is refused for two fine-tunes, whose weights differ, by the names of both', async () => {
      await evaluated('a.eval.json', first);
      await evaluated('b.eval.json', { ...second, subject: 'tuned', weights: 'other' });
      await expect(report({ results: files('a.eval.json', 'b.eval.json') })).rejects.toThrow(
        /a\.eval\.json is about the model int8 and \S*b\.eval\.json about tuned, which were made from different weights/,
      );
      await save('times.json', timed(['m1', 'm2'], 'other'));
      await expect(report({ results: files('a.eval.json', 'times.json') })).rejects.toThrow(/different weights/);
    });

    test('is refused where a result does not tell which of them it is about', async () => {
      await evaluated('a.eval.json', first);
      await evaluated('b.eval.json', second);
      await expect(report({ results: files('a.eval.json', 'b.eval.json', 'int8.errors.json') })).rejects.toThrow(
        /a\.eval\.json and \S*b\.eval\.json are about different models that are both called int8, and \S*int8\.errors\.json does not tell/,
      );
      await expect(report({ results: files('a.eval.json', 'int8.errors.json') })).rejects.toThrow(
        /a\.eval\.json and \S*int8\.errors\.json are about different detections that are both called int8; give/,
      );
    });

    test('is refused where they are compared with different detections', async () => {
      await evaluated('a.eval.json', { ...first, againstHash: 'x' });
      await evaluated('b.eval.json', { ...second, subject: 'other', againstHash: 'y' });
      await expect(report({ results: files('a.eval.json', 'b.eval.json') })).rejects.toThrow(
        /a\.eval\.json and \S*b\.eval\.json are compared with different detections that are both called fp32/,
      );
      await expect(report({ results: files('a.eval.json', 'fp32.score.json') })).rejects.toThrow(
        /a\.eval\.json is compared with fp32, but with other detections than those of it that \S*fp32\.score\.json/,
      );
    });
  });

  test('finds detections by what they say where their file is called otherwise', async () => {
    const scored = JSON.parse(await readFile(at('int8.score.json'), 'utf8'));
    const { detectionsHash } = scored.origin;
    await save('m.eval.json', { ...scored, origin: { ...scored.origin, subject: 'model', modelHash: 'm' } });
    const { variants } = await report({ results: files('m.eval.json', 'int8.errors.json') });
    expect(detectionsHash).toMatch(/^[0-9a-f]{64}$/);
    expect(variants.map(({ name, errors }) => [name, errors !== undefined])).toEqual([
      ['fp32', false],
      ['model', true],
    ]);
  });

  test('knows what its results are compared with, and does not take another variant for it', async () => {
    const { variants, recommendation } = await report({ results: at('int8.score.json') });
    expect(variants.map(({ name }) => name)).toEqual(['fp32', 'int8']);
    expect(recommendation.decision).toBe('unmeasured');
  });

  describe('of modules and words', () => {
    const number = { value: 0.5, interval: { value: 0.5, low: 0.4, high: 0.6 } };
    const unknown = { value: undefined, change: undefined };
    const saving = { float: 4e6, quantized: 1e6, saved: 3e6, share: 1 };
    const change = { change: -0.00001, interval: { value: -0.00001, low: -0.002, high: 0.001 } };
    const modules = (dataset?: LabelsIdentity): ContributionResult => ({
      origin: { ...originOf('contribution', { subject: 'models/fp32.onnx' }), ...(dataset && { dataset }) },
      recipe: 'mixed',
      rounds: 0,
      modules: [{ name: 'encoder', bytes: saving, averagePrecision: change }],
      averagePrecision: { images: 20, float: 0.5, quantized: 0.5, whole: change, together: change },
    });
    const words = (): VocabularyResult => ({
      origin: originOf('vocabulary', { subject: 'int8.onnx', against: 'other/name.onnx' }),
      images: 20,
      threshold: 0.35,
      notes: ['No box of the second group is in these images.'],
      seen: {
        seenCategories: 3,
        unseenCategories: 0,
        seen: { ...number, change: 0.1 },
        unseen: unknown,
        difference: unknown,
      },
      absent: [{ absent: 0, phrases: 3, falseAlarms: { value: 7 }, averagePrecision: number, difference: number }],
    });
    const scores = ['fp32.score.json', 'int8.score.json'];

    test('has a section of each, from files as from the results themselves', async () => {
      await save('modules.json', modules());
      await save('words.json', words());
      const results = [...files(...scores, 'modules.json', 'words.json')];
      await report({ results, output: at('sections.html') });
      const { document } = parseHTML(await readFile(at('sections.html'), 'utf8'));
      const cells = (section: string) =>
        [...document.querySelectorAll(`#${section} tbody tr`)].map((row) =>
          [...row.children].map(({ textContent }) => textContent),
        );
      expect(cells('contribution')).toEqual([
        ['encoder', '4.00', '1.00', '3.00', '100.0 %'],
        ['only the encoder', '0.00', '−0.20 to +0.10', 'not distinguishable from chance', '–'],
        ['what they do to each other', '0.00', '−0.20 to +0.10', 'not distinguishable from chance', '–'],
        ['the whole', '0.00', '−0.20 to +0.10', 'not distinguishable from chance', '–'],
      ]);
      // A change that is not known has no place in JSON; its column is there because of the others.
      expect(cells('words').slice(0, 2)).toEqual([
        ['seen (3 categories)', '50.0040.00 to 60.00', '+10.00'],
        ['never seen (no box)', '–', '–'],
      ]);
      await report({ results: [...files(...scores), modules(), words()], output: at('objects.html') });
      const { document: direct } = parseHTML(await readFile(at('objects.html'), 'utf8'));
      for (const section of ['#contribution', '#words'])
        expect(direct.querySelector(section)?.textContent).toBe(document.querySelector(section)?.textContent);
    });

    test('alone, says that nothing is there to choose from', async () => {
      const { answer } = await report({ results: words() });
      expect(answer).toBe('There is nothing to choose from: no result is about a variant as a whole.');
    });

    test('is refused for other labels or other weights', async () => {
      const { origin } = JSON.parse(await readFile(at('fp32.score.json'), 'utf8'));
      const some = { ...origin.dataset, hash: 'of fewer images', images: 20 };
      await report({ results: [at('fp32.score.json'), modules(some)] });
      await expect(
        report({ results: [at('fp32.score.json'), modules({ ...some, categoryHash: 'of others' })] }),
      ).rejects.toThrow(/results of different data sets do not belong in one report/);
      const named = (weights: string) => ({ ...words(), origin: { ...words().origin, weights } });
      await expect(
        report({ results: [{ ...bench(), origin: { ...bench().origin, weights: 'a' } }, named('b')] }),
      ).rejects.toThrow(
        /The result 1 is about the model fp32 and The result 2 about int8, which were made from different weights/,
      );
      await expect(report({ results: [words(), words()] })).rejects.toThrow(
        /both results of vocabulary; a report takes one/,
      );
    });
  });

  test('is not made of damaged results, which are named with the wrong field', async () => {
    const text = await readFile(at('int8.score.json'), 'utf8');
    const damages: readonly [string | RegExp, string, RegExp][] = [
      ['"AP": 1', '"AP": 1e999', /figures\.AP/],
      [/"low": [\d.]+/, '"low": "0"', /intervals\.\w+\.low/],
      [/"low": 0\.?\d*,\s*"high": 0/, '"low": 0.5, "high": 0', /above the upper/],
      [/"high": [\d.]+/, '"high": 7', /intervals\.\w+\.high/],
      ['"kind": "score"', '"kind": "bench"', /rounds/],
      ['"subject": "int8"', '"subject": 8', /origin\.subject/],
    ];
    for (const [from, to, message] of damages) {
      expect(text).toMatch(from);
      await writeFile(at('damaged.json'), text.replace(from, to));
      await expect(report({ results: at('damaged.json') })).rejects.toThrow(message);
    }
  });

  test('is not written over the results that it is made of', async () => {
    await expect(report({ results: at('bench.json'), output: at('bench.json') })).rejects.toThrow(/overwrite/);
  });
});
