/** A model for fixed phrases, as a step of the pipeline makes it. */
import type { WorkOptions } from '../base/progress.ts';
import type { Phrases } from '../data/phrases.ts';
import { fixPrompt } from '../detect/fix-prompt.ts';
import type { ModelPackage } from '../models/package/package.ts';

/** The model for these phrases alone. What is to be said of the phrases is said as notices. */
export async function withFixedPhrases(
  source: ModelPackage,
  phrases: Phrases,
  { onNotice }: Pick<WorkOptions, 'onNotice'>,
): Promise<ModelPackage> {
  const { model, warnings } = await fixPrompt(source, phrases);
  for (const sentence of warnings) onNotice?.(sentence);
  return model;
}
