/** The runs of one detector by which questions about its words are answered: each continues where it was interrupted. */
import { hashJson } from '../base/hash-json.ts';
import type { WorkOptions } from '../base/progress.ts';
import type { CocoDataset } from '../data/coco.ts';
import { Detector } from '../detect/detector.ts';
import { type CategoryMatches, type Matches, matchDetections } from '../evaluate/matches.ts';
import { detectImages } from '../evaluate/score-dataset.ts';
import type { ModelPackage } from '../models/package/package.ts';
import type { ScoringRuns } from './scoring-runs.ts';
import { type AbsentPhrases, promptEncoder } from './vocabulary-prompts.ts';
import type { Questions, Row } from './vocabulary-questions.ts';

/** The settings of the runs of one model. */
export interface RunSettings extends Pick<Place, 'runs' | 'isOther' | 'work'> {
  readonly threshold: number;
  readonly seed: number;
}

/**
 * Runs a model for all that is asked.
 * @param known the lengths of prompts by which the first model was asked
 */
export async function runModel(
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

/** Whether categories are looked for by their names. */
const needsOriginals = ({ seen, rows }: Questions): boolean => seen !== undefined || rows.length > 0;

/** What one model found. */
export interface ModelRuns {
  readonly originals: Matches | undefined;
  readonly paraphrased: readonly CategoryMatches[];
  readonly absent: readonly FoundWithAbsent[];
}

/** What one model found with so many absent phrases. */
export interface FoundWithAbsent {
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

/** The name and the label of a run. @param what is scored */
const runOf = ({ isOther }: Place, name: string, what: string) => ({
  name: isOther ? `against-${name}` : name,
  label: `${isOther ? 'Against:' : 'Scoring'} ${what}`,
});

async function runOriginals(place: Place): Promise<Matches> {
  const run = runOf(place, 'categories', 'categories');
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
  const run = runOf(place, name, `"${phrase.slice(0, 30)}"`);
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
    const run = runOf(place, `absent-${count}`, `${count} absent`);
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
