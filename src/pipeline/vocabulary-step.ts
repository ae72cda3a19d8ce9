/** The step that measures how well a detector knows words: unseen phrases, paraphrases, and phrases that name nothing. */
import { basename } from 'node:path';
import { writeAtomic } from '../base/files.ts';
import type { WorkOptions } from '../base/progress.ts';
import type { BootstrapOptions } from '../evaluate/bootstrap.ts';
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
import { originOf, type ResultOrigin } from './result-origin.ts';
import { runStep } from './run-step.ts';
import { ScoringRuns } from './scoring-runs.ts';
import { missingNumbers } from './vocabulary-notes.ts';
import { VOCABULARY_DEFAULTS, type VocabularyOptions, vocabularySchemas } from './vocabulary-options.ts';
import type { AbsentPhrases } from './vocabulary-prompts.ts';
import { openQuestions, type Questions, type Row } from './vocabulary-questions.ts';
import { type ModelRuns, runModel } from './vocabulary-runs.ts';

/** The result of `vocabulary`: a part for each question that was asked. */
export interface VocabularyResult {
  /** The model, the one that it was compared with, and the data set by which it was judged. */
  readonly origin: ResultOrigin;
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
  /** Sentences that say why a number or an interval is not known. */
  readonly notes: readonly string[];
}

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
  return runStep('vocabulary', vocabularySchemas, options, async () => {
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
    const scores = {
      ...(await scoreOriginals(asked, judged, other, bootstrap)),
      absent: asked.absent && (await scoreAbsent(joined(asked.absent, judged, other), bootstrap)),
    };
    const notes = missingNumbers(asked.dataset, asked.seen, scores);
    const { model, against, dataset } = asked;
    const origin = originOf('vocabulary', { subject: model.source, against: against?.source, model, dataset });
    const result: VocabularyResult = { origin, images: dataset.images.length, ...scores, threshold, notes };
    if (report !== undefined) {
      const { renderVocabulary } = await import('../report/vocabulary-page.ts');
      await writeAtomic(report, renderVocabulary(basename(asked.model.source), result));
    }
    if (output !== undefined) await writeAtomic(output, `${JSON.stringify(result, undefined, 2)}\n`);
    await runs.remove();
    return result;
  });
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

/** Passes each sentence on once. */
function once(onNotice: WorkOptions['onNotice']): WorkOptions['onNotice'] {
  const told = new Set<string>();
  return (sentence) => {
    if (!told.has(sentence)) onNotice?.(sentence);
    told.add(sentence);
  };
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
