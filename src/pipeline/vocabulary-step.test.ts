/** The questions about words are asked of a small detector: what is counted is counted again by hand. */
import { mkdtemp, readdir, readFile, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { parseHTML } from 'linkedom';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { exists } from '../base/files.ts';
import { bundledValidation } from '../data/bundled.ts';
import { type CocoDataset, takeImages } from '../data/coco.ts';
import { readDataset } from '../data/datasets/read-dataset.ts';
import { readImage } from '../data/image.ts';
import { Detector } from '../detect/detector.ts';
import { writeSmallCheckpoint } from '../models/grounding-dino/testing/small-checkpoint.ts';
import { type ModelPackage, readPackage } from '../models/package/package.ts';
import type { VocabularyOptions } from './vocabulary-options.ts';
import { vocabulary } from './vocabulary-step.ts';

let folder: string;
let model: ModelPackage;
let dataset: CocoDataset;
beforeAll(async () => {
  folder = await mkdtemp(join(tmpdir(), 'dino8-vocabulary-'));
  model = await readPackage(await writeSmallCheckpoint(join(folder, 'checkpoint')));
  dataset = takeImages(await readDataset(bundledValidation()), 2);
});
afterAll(() => rm(folder, { recursive: true }));

const ask = (options: Partial<VocabularyOptions>) => vocabulary({ model, dataset, ...options });

test('every box of a phrase that names nothing is a false alarm from the threshold on', async () => {
  const listed = ['a small dog', 'bicycle'];
  const { absent = [] } = await ask({ absent: listed, threshold: 0.01 });
  expect(absent.map(({ absent }) => absent)).toEqual([0, 1, 2]);
  await using detector = await Detector.create(model);
  let alarms = 0;
  for (const image of dataset.images) {
    const own = dataset.annotations.filter(({ image_id }) => image_id === image.id).map((each) => each.category_id);
    const names = dataset.categories.filter(({ id }) => own.includes(id)).map(({ name }) => name);
    const prompt = await detector.encodePrompt([...names, ...listed]);
    const boxes = await detector.rank(await readImage(dataset.pathOf(image)), prompt, 300);
    alarms += boxes.filter(({ phrase, score }) => phrase >= names.length && score >= 0.01).length;
  }
  expect(alarms).toBeGreaterThan(0);
  expect(absent[2]?.falseAlarms.value).toBeCloseTo(alarms / dataset.images.length, 9);
  expect(absent[0]?.falseAlarms.value).toBe(0);
});

test('interrupted work continues to the result of a whole run, and leaves nothing behind', async () => {
  const output = join(folder, 'result.json');
  const words = join(folder, 'words.yaml');
  const shown = dataset.categories.find(({ id }) => id === dataset.annotations[0]?.category_id)?.name ?? '';
  await writeFile(words, `${shown}: [thing of this kind, "${shown} here"]\n`);
  const controller = new AbortController();
  let runs = 0;
  const onProgress = ({ label, done }: { label: string; done: number }) => {
    if (label.startsWith('Scoring "') && done === 1) controller.abort(new Error('enough'));
    if (label.startsWith('Scoring') && done === 0) runs++;
  };
  const asked = { paraphrases: words, unseen: [shown], output };
  await expect(ask({ ...asked, onProgress, signal: controller.signal })).rejects.toThrow('enough');
  expect(await readdir(`${output}.partial`)).toContain('categories.jsonl');
  runs = 0;
  const resumed = await ask({ ...asked, onProgress });
  // The run of all categories was done.
  expect(runs).toBeLessThan(3);
  expect(await exists(`${output}.partial`)).toBe(false);
  expect(resumed).toEqual(await ask({ ...asked, output: undefined }));
  expect(resumed.paraphrases?.phrases.map(({ phrase }) => phrase)).toEqual(['thing of this kind', `${shown} here`]);
  expect(resumed.seen?.unseenCategories).toBe(1);
});

test('numbers that are not known have a reason, which is said before the work, and stands beside the result', async () => {
  const shown = new Set(dataset.annotations.map(({ category_id }) => category_id));
  const nowhere = dataset.categories.filter(({ id }) => !shown.has(id)).slice(0, 2);
  const names = nowhere.map(({ name }) => name);
  const told: string[] = [];
  const report = join(folder, 'page.html');
  const { seen, notes } = await ask({ unseen: names, report, onNotice: (sentence) => told.push(sentence) });
  expect(seen?.unseen.value).toBeUndefined();
  expect(notes[0]).toMatch(/^These images have .* that training saw .*, which do not count\.$/);
  expect(notes[1]).toBe('Fewer than 10 images show categories that training saw, too few for an interval.');
  expect(notes[2]).toBe(
    `These images have no box of the categories that training never saw ("${names[0]}", "${names[1]}"), so that there is no AP of them to compare.`,
  );
  expect(told).toContain(notes[2]);
  const page = parseHTML(await readFile(report, 'utf8')).document;
  for (const note of notes) expect(page.body.textContent).toContain(note);
});

test.each<[string, Partial<VocabularyOptions>, RegExp]>([
  ['no question', {}, /no question to answer/],
  ['a name that is no category', { seen: ['red circel'] }, /"red circel" in `seen` is no category of /],
  ['two lists', { seen: ['red circle'], unseen: ['red star'] }, /`unseen` is the opposite of `seen`/],
  ['an empty group', { unseen: [] }, /all categories were seen in training/],
  ['a paraphrase that is a category', { paraphrases: { 'red star': ['Red Circle'] } }, /is the name of a category/],
  ['a paraphrase without words', { paraphrases: { 'red star': ['--'] } }, /The paraphrase "--" has no words/],
  ['an absent phrase that is a category', { absent: ['red star'] }, /is a category of the data set/],
  ['no absent phrase', { absent: [] }, /lists no phrase/],
])('%s is refused', async (_, options, message) => {
  await expect(ask(options)).rejects.toThrow(message);
});

test('a file of paraphrases of another form is refused by the place of what is wrong', async () => {
  const path = join(folder, 'wrong.yaml');
  await writeFile(path, 'red star: star\n');
  await expect(ask({ paraphrases: path })).rejects.toThrow(
    /wrong\.yaml is not as expected at red star: it must be a list, and is "star"\.$/,
  );
  await writeFile(path, 'red star: [a\n');
  await expect(ask({ paraphrases: path })).rejects.toThrow(/wrong\.yaml is not valid YAML \([^\n]*\)\.$/);
});
