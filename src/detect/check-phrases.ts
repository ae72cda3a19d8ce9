/** Finds the categories of a data set whose names are no phrases for a model, such as "-" or a name that is too long. */
import { InputError, messageOf, UsageError } from '../base/errors.ts';
import { type CocoCategory, type CocoDataset, phraseCategories } from '../data/coco.ts';
import { type LeaveOutOptions, leaveOut } from '../data/datasets/leave-out.ts';
import { categoryPhrases } from '../data/phrases.ts';
import { detectionOf, type LoadedModel } from '../models/family.ts';
import { createTokenizer } from '../models/tokenizer.ts';
import type { TokenizerFiles } from '../models/tokenizer-schema.ts';

/** The parts of a model that are needed to make prompts. */
export interface PromptSource extends Pick<LoadedModel, 'family' | 'source'> {
  readonly tokenizer: TokenizerFiles;
}

/**
 * Takes the categories out of the prompts of a data set whose names are no phrases. Their objects stay, and count as not found.
 * @throws InputError if there is such a category and neither `skipUnreadable` nor `onLeftOut` is set, or if no category is left
 */
export function checkPhrases(model: PromptSource, dataset: CocoDataset, options: LeaveOutOptions = {}): CocoDataset {
  const detection = detectionOf(model);
  const tokenizer = createTokenizer(model.tokenizer, model.source);
  const reasons = new Map<CocoCategory, string>();
  for (const category of phraseCategories(dataset)) {
    try {
      detection.createPrompt(categoryPhrases([category]), tokenizer);
    } catch (error) {
      if (!(error instanceof UsageError)) throw error;
      const { id, sourceId, name } = category;
      const source = dataset.source === undefined ? '' : ` of ${dataset.source}`;
      const reason = messageOf(error).replace(/\.$/, '');
      reasons.set(
        category,
        `The category ${sourceId ?? id}${source}, "${name.slice(0, 60)}", is not looked for: ${reason}`,
      );
    }
  }
  if (reasons.size === 0) return dataset;
  leaveOut([...reasons.values()], 'categories', options);
  if (reasons.size === phraseCategories(dataset).length)
    throw new InputError(`No category of ${dataset.source ?? 'the data set'} has a name that is a phrase.`);
  const categories = dataset.categories.map((each) => (reasons.has(each) ? { ...each, isPhrase: false } : each));
  return { ...dataset, categories };
}
