/** The step that measures how well a detector knows words: unseen phrases, paraphrases, and phrases that name nothing. */
import { z } from 'zod';
import { either, numberWithin, type OptionSchemas, optional, text } from '../base/check-options.ts';
import type { Defaults } from '../base/defaults.ts';
import { InputError, UsageError } from '../base/errors.ts';
import { writeAtomic } from '../base/files.ts';
import { hashJson } from '../base/hash-json.ts';
import type { WorkOptions } from '../base/progress.ts';
import { type CocoCategory, type CocoDataset, phraseCategories } from '../data/coco.ts';
import { type Paraphrases, readParaphrases } from '../data/paraphrases.ts';
import { Detector } from '../detect/detector.ts';
import { DEFAULT_THRESHOLD } from '../detect/select-boxes.ts';
import type { BootstrapOptions } from '../evaluate/bootstrap.ts';
import { type CategoryMatches, type Matches, matchDetections } from '../evaluate/matches.ts';
import {
  type AbsentRun,
  type AbsentScore,
  type ParaphraseRun,
  type ParaphraseScores,
  type SeenScores,
  scoreAbsent,
  scoreParaphrases,
  scoreSeen,
} from '../evaluate/open-vocabulary.ts';
import { detectImages } from '../evaluate/score-dataset.ts';
import { detectionOf } from '../models/family.ts';
import { refuseFixedPrompt } from '../models/fixed-prompt.ts';
import { type ModelPackage, type ReadOptions, readSchemas } from '../models/package/package.ts';
import { createTokenizer } from '../models/tokenizer.ts';
import type { ThreadOptions } from '../runtime/threads.ts';
import {
  countSchema,
  datasetSchema,
  datasetSchemas,
  modelSchema,
  optionalPath,
  overwriteSchemas,
  seedSchema,
  threadSchemas,
} from './option-schemas.ts';
import { runStep } from './run-step.ts';
import { openLabelled } from './samples.ts';
import { ScoringRuns } from './scoring-runs.ts';
import { type DatasetOptions, type DatasetSource, type ModelSource, openModel } from './sources.ts';
import { checkStepFiles, type OverwriteOptions } from './step-files.ts';
import { AbsentPhrases, promptEncoder } from './vocabulary-prompts.ts';

/** Options of `vocabulary`. At least one of `seen`, `unseen`, `paraphrases` and `absent` is needed. */
export interface VocabularyOptions extends DatasetOptions, ReadOptions, ThreadOptions, OverwriteOptions {
  /** The model. */
  readonly model: ModelSource;
  /** Another model, such as the float one; the changes from it are computed too. */
  readonly against?: ModelSource | undefined;
  /** The labelled images. */
  readonly dataset: DatasetSource;
  /** Uses the first images, this many; 100 by default. */
  readonly images?: number | undefined;
  /** The names of the categories that training saw; all others count as unseen. */
  readonly seen?: readonly string[] | undefined;
  /** The names of the categories that training never saw; all others count as seen. */
  readonly unseen?: readonly string[] | undefined;
  /** Other phrases by the names of categories, or the path of a YAML or JSON file of them. Each takes a pass over the images. */
  readonly paraphrases?: string | Paraphrases | undefined;
  /**
   * Asks for phrases that name nothing in an image, beside those of what it shows: the other categories of the data set (`true`),
   * or the phrases of a list, which must name nothing in any image. Each length of prompt takes a pass over the images.
   */
  readonly absent?: boolean | readonly string[] | undefined;
  /** The score from which a box of an absent phrase is a false alarm, from 0 to 1; 0.35 by default. */
  readonly threshold?: number | undefined;
  /** The seed of the choice of absent phrases, and of the intervals; 0 by default. */
  readonly seed?: number | undefined;
  /** The JSON file to write. With it, images that are done are kept in the folder `OUTPUT.partial` and not run again. */
  readonly output?: string | undefined;
  /** The HTML file to write with tables and a chart. */
  readonly report?: string | undefined;
}

/** The defaults of `VocabularyOptions`. */
export const VOCABULARY_DEFAULTS: Defaults<VocabularyOptions, 'images' | 'threshold' | 'seed'> = {
  images: 100,
  threshold: DEFAULT_THRESHOLD,
  seed: 0,
};

/** The result of `vocabulary`: a part for each question that was asked. */
export interface VocabularyResult {
  /** The number of images. */
  readonly images: number;
  /** Average precision apart for phrases that training saw and others. */
  readonly seen?: SeenScores | undefined;
  /** Average precision by other phrases for the same objects. */
  readonly paraphrases?: ParaphraseScores | undefined;
  /** False alarms and average precision by the number of absent phrases. */
  readonly absent?: readonly AbsentScore[] | undefined;
  /** The score from which a box of an absent phrase is a false alarm. */
  readonly threshold: number;
}

const names = z.array(text, { error: 'a list of texts' });
const paraphrasesSchema = either(
  'the path of a file, or an object with lists of phrases by the names of categories',
  text,
  z.record(z.string(), names.min(1)),
);

const schemas: OptionSchemas<VocabularyOptions> = {
  ...datasetSchemas,
  ...readSchemas,
  ...threadSchemas,
  ...overwriteSchemas,
  model: modelSchema,
  against: optional(modelSchema),
  dataset: datasetSchema,
  images: countSchema,
  seen: optional(names),
  unseen: optional(names),
  paraphrases: optional(paraphrasesSchema),
  absent: optional(either('true, false or a list of phrases', z.boolean(), names)),
  threshold: optional(numberWithin(0, 1)),
  seed: seedSchema,
  output: optionalPath,
  report: optionalPath,
};

/**
 * Measures how well a detector knows words, with 95 % intervals and with the changes from another model: average precision apart
 * for phrases that training saw and never saw, by synonyms and paraphrases, and in prompts with more and more phrases that name
 * nothing in the image, with the false alarms that these raise.
 *
 * @throws UsageError if no question is asked or a name is no category of the data set; InputError if there are no boxes to score
 * against, or if the state of interrupted work belongs to other work
 * @example
 * const { paraphrases } = await vocabulary({
 *   model: 'tiny.int8.onnx', against: 'tiny.onnx', dataset: 'coco/val2017', paraphrases: { person: ['human', 'pedestrian'] },
 * });
 */
export async function vocabulary(options: VocabularyOptions): Promise<VocabularyResult> {
  return runStep('vocabulary', schemas, options, async () => {
    const { seed = VOCABULARY_DEFAULTS.seed, threshold = VOCABULARY_DEFAULTS.threshold, output, report } = options;
    const { onProgress, onNotice, signal } = options;
    const asked = await openQuestions(options, seed);
    const work = { onProgress, onNotice: once(onNotice), signal };
    const runs = await ScoringRuns.open(output, asked.dataset, work);
    const judged = await runModel(asked.model, asked, { runs, isOther: false, work, threshold, seed });
    const other =
      asked.against &&
      (await runModel(asked.against, asked, { runs, isOther: true, work, threshold, seed }, judged.absent));
    const bootstrap = { seed, onProgress, signal };
    const result: VocabularyResult = {
      images: asked.dataset.images.length,
      ...(await scoreOriginals(asked, judged, other, bootstrap)),
      absent: asked.absent && (await scoreAbsent(joined(asked.absent, judged, other), bootstrap)),
      threshold,
    };
    if (report !== undefined) {
      const { renderVocabulary } = await import('../report/vocabulary-page.ts');
      await writeAtomic(report, renderVocabulary(asked.model.source, result));
    }
    if (output !== undefined) await writeAtomic(output, `${JSON.stringify(result, undefined, 2)}\n`);
    await runs.remove();
    return result;
  });
}

/** The models and images, and what is asked about them. */
interface Questions {
  readonly model: ModelPackage;
  readonly against: ModelPackage | undefined;
  readonly dataset: CocoDataset;
  readonly seen: ReadonlySet<number> | undefined;
  readonly rows: readonly Row[];
  readonly absent: AbsentPhrases | undefined;
}

async function openQuestions(options: VocabularyOptions, seed: number): Promise<Questions> {
  const { images = VOCABULARY_DEFAULTS.images, paraphrases: given, output, report, onNotice, signal } = options;
  checkQuestions(options);
  await checkStepFiles({
    outputs: [output, report],
    models: [options.model, ...(options.against === undefined ? [] : [options.against])],
    data: [options.dataset, typeof given === 'string' ? given : undefined],
    overwrite: options.overwrite,
  });
  const paraphrases = typeof given === 'string' ? await readParaphrases(given) : given;
  const model = await openModel(options.model, options);
  const against = options.against === undefined ? undefined : await openModel(options.against, { onNotice, signal });
  for (const each of [model, against]) if (each) refuseFixedPrompt(each.model, each.source);
  const dataset = await openLabelled(model, options.dataset, { ...options, images });
  if (dataset.annotations.length === 0)
    throw new InputError(
      `${dataset.source ?? 'The data set'} has no boxes in these images; there is nothing to score against.`,
    );
  const rows = paraphrases ? paraphraseRows(model, dataset, paraphrases) : [];
  const shown = new Set(dataset.annotations.map(({ category_id }) => category_id));
  for (const { name } of new Set(rows.map(({ category }) => category).filter(({ id }) => !shown.has(id))))
    onNotice?.(`No object of "${name}" is in these images, so that its phrases have no average precision.`);
  return {
    model,
    against,
    dataset,
    seen: options.seen || options.unseen ? seenCategories(dataset, options) : undefined,
    rows,
    absent: options.absent ? absentPhrases(model, dataset, options.absent, seed) : undefined,
  };
}

/** Whether categories are looked for by their names. */
const needsOriginals = ({ seen, rows }: Questions): boolean => seen !== undefined || rows.length > 0;

/** The settings of the runs of one model. */
interface RunSettings extends Pick<Place, 'runs' | 'isOther' | 'work'> {
  readonly threshold: number;
  readonly seed: number;
}

/** @param known the lengths of prompts by which the first model was asked */
async function runModel(
  source: ModelPackage,
  asked: Questions,
  { threshold, seed, ...settings }: RunSettings,
  known?: readonly FoundWithAbsent[],
): Promise<ModelRuns> {
  await using detector = await Detector.create(source, { signal: settings.work.signal });
  const place = { ...settings, detector, source, dataset: asked.dataset };
  const originals = needsOriginals(asked) ? await runOriginals(place) : undefined;
  const paraphrased: CategoryMatches[] = [];
  for (const row of asked.rows) paraphrased.push(await runParaphrase(place, row));
  const absent = asked.absent ? await runAbsent(place, asked.absent, { threshold, seed }, known) : [];
  return { originals, paraphrased, absent };
}

async function scoreOriginals(
  { seen, rows }: Questions,
  judged: ModelRuns,
  other: ModelRuns | undefined,
  bootstrap: BootstrapOptions,
): Promise<Pick<VocabularyResult, 'seen' | 'paraphrases'>> {
  if (!judged.originals) return {};
  const originals = { judged: judged.originals, other: other?.originals };
  const paraphrases = rows.flatMap(asRun(judged, other));
  return {
    seen: seen && (await scoreSeen(originals, seen, bootstrap)),
    paraphrases: paraphrases.length > 0 ? await scoreParaphrases(originals, paraphrases, bootstrap) : undefined,
  };
}

/** @throws UsageError if nothing is asked, or the same twice */
function checkQuestions({ seen, unseen, paraphrases, absent }: VocabularyOptions): void {
  if (seen && unseen) throw new UsageError('`unseen` is the opposite of `seen`; give one of them.');
  if (Array.isArray(absent) && absent.length === 0)
    throw new UsageError('`absent` lists no phrase; list some, or give true for the other categories of the data set.');
  if (!seen && !unseen && !absent && paraphrases === undefined)
    throw new UsageError('There is no question to answer; give `seen`, `unseen`, `paraphrases` or `absent`.');
}

/** Passes each sentence on once. */
function once(onNotice: WorkOptions['onNotice']): WorkOptions['onNotice'] {
  const told = new Set<string>();
  return (sentence) => {
    if (!told.has(sentence)) onNotice?.(sentence);
    told.add(sentence);
  };
}

/** @throws UsageError if a name is no category, or if one of the two groups is empty */
function seenCategories(dataset: CocoDataset, { seen, unseen }: VocabularyOptions): ReadonlySet<number> {
  const option = seen ? '`seen`' : '`unseen`';
  const listed = new Set((seen ?? unseen ?? []).map((name) => categoryOf(dataset, name, option).id));
  const ids = phraseCategories(dataset).map(({ id }) => id);
  const known = new Set(ids.filter((id) => listed.has(id) === (seen !== undefined)));
  if (known.size === 0 || known.size === ids.length)
    throw new UsageError(
      `By ${option} ${known.size === 0 ? 'no category was' : 'all categories were'} seen in training, so that there are no two groups to compare.`,
    );
  return known;
}

/** @throws UsageError that names what is no category */
function categoryOf(dataset: CocoDataset, name: string, option: string): CocoCategory {
  const found = phraseCategories(dataset).find((category) => category.name === name.trim());
  if (found) return found;
  throw new UsageError(
    `"${name.slice(0, 60)}" in ${option} is no category of ${dataset.source ?? 'the data set'}; give names as the annotations have them.`,
  );
}

interface Row {
  readonly category: CocoCategory;
  readonly phrase: string;
}

/** @throws UsageError if a paraphrase is no phrase for the model, or is a name of a category or listed twice */
function paraphraseRows(model: ModelPackage, dataset: CocoDataset, paraphrases: Paraphrases): Row[] {
  const check = phraseCheck(model, 'paraphrase');
  const categories = new Map(phraseCategories(dataset).map((category) => [category.name.toLowerCase(), category]));
  return Object.entries(paraphrases).flatMap(([name, phrases]) => {
    const category = categoryOf(dataset, name, '`paraphrases`');
    const listed = new Set<string>();
    return phrases.map((phrase) => {
      check(phrase);
      const key = phrase.trim().toLowerCase();
      if (categories.has(key))
        throw new UsageError(
          `The paraphrase "${phrase.slice(0, 60)}" of ${name} is the name of a category; leave it out.`,
        );
      if (listed.has(key)) throw new UsageError(`The paraphrase "${phrase.slice(0, 60)}" of ${name} is listed twice.`);
      listed.add(key);
      return { category, phrase: phrase.trim() };
    });
  });
}

/** A check that throws a UsageError for what is no phrase. */
function phraseCheck(model: ModelPackage, called: string): (phrase: string) => void {
  const detection = detectionOf(model);
  const tokenizer = createTokenizer(model.tokenizer, model.source);
  return (phrase) => void detection.createPrompt([{ exact: phrase, called }], tokenizer);
}

/** @throws UsageError if a listed phrase is none, or is the name of a category */
function absentPhrases(
  model: ModelPackage,
  dataset: CocoDataset,
  absent: boolean | readonly string[] | undefined,
  seed: number,
): AbsentPhrases {
  if (typeof absent !== 'object') return new AbsentPhrases(dataset, undefined, seed);
  const check = phraseCheck(model, 'absent phrase');
  const categories = new Set(dataset.categories.map(({ name }) => name.toLowerCase()));
  const listed = absent.map((phrase) => phrase.trim());
  for (const phrase of listed) {
    check(phrase);
    if (categories.has(phrase.toLowerCase()))
      throw new UsageError(
        `"${phrase.slice(0, 60)}" in \`absent\` is a category of the data set, which images may show; leave it out.`,
      );
  }
  return new AbsentPhrases(dataset, [...new Set(listed)], seed);
}

/** What one model found. */
interface ModelRuns {
  readonly originals: Matches | undefined;
  readonly paraphrased: readonly CategoryMatches[];
  readonly absent: readonly FoundWithAbsent[];
}

interface FoundWithAbsent {
  readonly count: number;
  readonly matches: Matches;
  readonly falseAlarms: readonly number[];
}

/** Where the runs of one model take place. */
interface Place {
  readonly runs: ScoringRuns;
  readonly detector: Detector;
  readonly source: ModelPackage;
  readonly dataset: CocoDataset;
  readonly isOther: boolean;
  readonly work: WorkOptions;
}

/** The name and the label of a run. */
const runOf = ({ isOther }: Place, name: string, label: string) => ({
  name: isOther ? `against-${name}` : name,
  label: isOther ? `${label}, against` : label,
});

async function runOriginals(place: Place): Promise<Matches> {
  const run = runOf(place, 'categories', 'Scoring categories');
  return matchDetections(place.dataset, await place.runs.scoreWith(run, place.detector, place.source, place.dataset));
}

/** Only the matches of the category are kept, so that memory does not grow with the number of paraphrases. */
async function runParaphrase(place: Place, { category, phrase }: Row): Promise<CategoryMatches> {
  const { dataset, runs, detector, source } = place;
  const renamed = {
    ...dataset,
    categories: dataset.categories.map((each) => (each.id === category.id ? { ...each, name: phrase } : each)),
  };
  const name = `paraphrase-${category.id}-${hashJson(phrase).slice(0, 12)}`;
  const run = runOf(place, name, `Scoring "${phrase.slice(0, 30)}"`);
  const detections = await runs.scoreWith(run, detector, source, renamed);
  const [matches] = matchDetections(dataset, detections, { categories: [category.id] }).categories;
  if (!matches) throw new Error('a category has no matches');
  return matches;
}

/** @param known the lengths of prompts that the first model was asked by */
async function runAbsent(
  place: Place,
  absent: AbsentPhrases,
  { threshold, seed }: { threshold: number; seed: number },
  known: readonly FoundWithAbsent[] | undefined,
): Promise<FoundWithAbsent[]> {
  const { dataset, detector, source, runs, work } = place;
  const counts = known?.map(({ count }) => count) ?? (await absent.counts(detector, work.signal));
  const found: FoundWithAbsent[] = [];
  for (const count of counts) {
    const run = runOf(place, `absent-${count}`, `Scoring, ${count} absent`);
    const encode = promptEncoder(detector, work.signal);
    const prompt = hashJson(['absent', count, seed, absent.key]);
    const detections = await runs.keep(run, source, dataset, prompt, (journal) =>
      detectImages(detector, dataset, ({ id }) => encode(absent.categoriesOf(id, count)), {
        ...work,
        label: run.label,
        journal,
      }),
    );
    const matches = matchDetections(dataset, detections);
    const alarms = new Map<number, number>();
    for (const { image_id, category_id, score } of detections)
      if (score >= threshold && !absent.shows(image_id, category_id))
        alarms.set(image_id, (alarms.get(image_id) ?? 0) + 1);
    found.push({ count, matches, falseAlarms: matches.images.map((id) => alarms.get(id) ?? 0) });
  }
  return found;
}

const asRun =
  (judged: ModelRuns | undefined, other: ModelRuns | undefined) =>
  ({ category, phrase }: Row, index: number): ParaphraseRun[] => {
    const matches = judged?.paraphrased[index];
    return matches ? [{ category, phrase, matches: { judged: matches, other: other?.paraphrased[index] } }] : [];
  };

const joined = (absent: AbsentPhrases, judged: ModelRuns, other: ModelRuns | undefined): AbsentRun[] =>
  judged.absent.map((found, index) => ({
    absent: found.count,
    phrases: absent.meanLength(found.count),
    found: { judged: found, other: other?.absent[index] },
  }));
