/** A model for fixed phrases, as a step of the pipeline makes it. */
import { UsageError } from '../base/errors.ts';
import type { WorkOptions } from '../base/progress.ts';
import type { NamedPrompts } from '../data/named-prompts.ts';
import type { Phrases } from '../data/phrases.ts';
import { choosePrompt } from '../detect/choose-prompt.ts';
import { fixPrompt, fixPrompts } from '../detect/fix-prompt.ts';
import type { ModelPackage } from '../models/package/package.ts';

/** What a model is fixed to, at most one of these. */
export interface FixedPhrases {
  /** The phrases of one prompt. */
  readonly phrases?: Phrases | undefined;
  /** The phrases of several prompts by their names. */
  readonly prompts?: NamedPrompts | undefined;
  /** The name of a prompt that the model has among others. */
  readonly prompt?: string | undefined;
}

/**
 * The model for these phrases alone, or the model itself if there are none. What is to be said of the phrases is said as notices.
 * @throws UsageError if phrases are given in two ways, or do not fit into the model
 */
export async function withFixedPhrases(
  source: ModelPackage,
  fixed: FixedPhrases,
  { onNotice }: Pick<WorkOptions, 'onNotice'>,
): Promise<ModelPackage> {
  checkOneWay(fixed);
  const { phrases, prompts, prompt } = fixed;
  if (prompt !== undefined) return choosePrompt(source, prompt);
  if (phrases === undefined && prompts === undefined) return source;
  const { model, warnings } = prompts ? await fixPrompts(source, prompts) : await fixPrompt(source, phrases ?? []);
  for (const sentence of warnings) onNotice?.(sentence);
  return model;
}

/** @throws UsageError if phrases are given in two ways */
export function checkOneWay({ phrases, prompts, prompt }: FixedPhrases): void {
  if (phrases !== undefined && prompts !== undefined)
    throw new UsageError(
      '`phrases` are one prompt and `prompts` are several; give those of `phrases` a name among `prompts`, or leave out one of them.',
    );
  if (prompt !== undefined && (phrases !== undefined || prompts !== undefined))
    throw new UsageError(
      `\`prompt\` chooses from the prompts that the model has, and ${phrases === undefined ? '`prompts` give' : '`phrases` give'} it others; leave out one of them.`,
    );
}
