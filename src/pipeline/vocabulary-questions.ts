/** What is asked about the words of a detector: the models, the images and the phrases, all checked before the first run. */
import { UsageError } from '../base/errors.ts';
import { type CocoCategory, type CocoDataset, phraseCategories, requireBoxes } from '../data/coco.ts';
import { type Paraphrases, readParaphrases } from '../data/paraphrases.ts';
import { detectionOf } from '../models/family.ts';
import { refuseFixedPrompt } from '../models/fixed-prompt.ts';
import type { ModelPackage } from '../models/package/package.ts';
import { createTokenizer } from '../models/tokenizer.ts';
import { openLabelled } from './samples.ts';
import { openModel } from './sources.ts';
import { checkStepFiles } from './step-files.ts';
import { emptyGroup, groupsWithoutBoxes } from './vocabulary-notes.ts';
import { VOCABULARY_DEFAULTS, type VocabularyOptions } from './vocabulary-options.ts';
import { AbsentPhrases } from './vocabulary-prompts.ts';

/** The models and images, and what is asked about them. */
export interface Questions {
  readonly model: ModelPackage;
  readonly against: ModelPackage | undefined;
  readonly dataset: CocoDataset;
  readonly seen: ReadonlySet<number> | undefined;
  readonly rows: readonly Row[];
  readonly absent: AbsentPhrases | undefined;
}

/** @throws UsageError or InputError as `vocabulary` */
export async function openQuestions(options: VocabularyOptions, seed: number): Promise<Questions> {
  const { images = VOCABULARY_DEFAULTS.images, paraphrases: given, output, report, onNotice, signal } = options;
  checkQuestions(options);
  await checkStepFiles({
    outputs: [output, report],
    models: [options.model, ...(options.against === undefined ? [] : [options.against])],
    tokenizer: options.tokenizer,
    data: [options.dataset, typeof given === 'string' ? given : undefined],
    overwrite: options.overwrite,
  });
  const paraphrases = typeof given === 'string' ? await readParaphrases(given) : given;
  const model = await openModel(options.model, options);
  const against = options.against === undefined ? undefined : await openModel(options.against, { onNotice, signal });
  for (const each of [model, against]) if (each) refuseFixedPrompt(each.model, each.source);
  const dataset = await openLabelled(model, options.dataset, { ...options, images });
  requireBoxes(dataset);
  const rows = paraphrases ? paraphraseRows(model, dataset, paraphrases) : [];
  const shown = new Set(dataset.annotations.map(({ category_id }) => category_id));
  for (const { name } of new Set(rows.map(({ category }) => category).filter(({ id }) => !shown.has(id))))
    onNotice?.(`No object of "${name}" is in these images, so that its phrases have no average precision.`);
  const seen = options.seen || options.unseen ? seenCategories(dataset, options) : undefined;
  // It is said before the work, which takes long, and again beside the result.
  for (const group of seen ? groupsWithoutBoxes(dataset, seen) : []) {
    const sentence = emptyGroup(group);
    if (sentence !== undefined) onNotice?.(sentence);
  }
  return {
    model,
    against,
    dataset,
    seen,
    rows,
    absent: options.absent ? absentPhrases(model, dataset, options.absent, seed) : undefined,
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

/** A category, and a phrase in the place of its name. */
export interface Row {
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
