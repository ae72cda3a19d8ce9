/** The text encoder of a bundle that takes other phrases than its own. */
import { UsageError } from '../../base/errors.ts';
import type { WorkOptions } from '../../base/progress.ts';
import type { Phrases } from '../../data/phrases.ts';
import { detectionOf } from '../../models/family.ts';
import { type FixedPrompt, refuseFixedPrompt } from '../../models/fixed-prompt.ts';
import type { ModelPackage } from '../../models/package/package.ts';
import { createTokenizer } from '../../models/tokenizer.ts';
import { type WordPieceRules, wordPieceRules } from '../../models/word-piece-rules.ts';
import { type CheckedRuntime, checkModel } from '../check-model.ts';
import { textModel } from './bundle-models.ts';
import type { TextEncoder } from './golden.ts';
import { TEXT_ENGINE } from './manifest.ts';

/** The text encoder of a bundle, and the rules of its tokenizer. */
export interface BundleText extends TextEncoder {
  readonly rules: WordPieceRules;
}

/** What the text encoder of a bundle is made for. */
interface TextOptions extends Pick<WorkOptions, 'onNotice'> {
  readonly output: string;
  readonly phrases?: Phrases | undefined;
}

/** The special tokens around one token of one phrase. */
const SHORTEST_PROMPT = 4;

/**
 * The phrases of a bundle as a prompt. What is to be said of them is said as notices.
 *
 * @param source a model that takes any phrases
 * @param tokens the length of prompts
 * @throws UsageError if there are no phrases, or the prompt has a length that the model or the phrases do not fit
 */
export function ownPrompt(source: ModelPackage, tokens: number, { phrases, onNotice }: TextOptions): FixedPrompt {
  refuseFixedPrompt(source.model, source.source);
  const { longestPrompt, createPrompt } = detectionOf(source);
  if (phrases === undefined)
    throw new UsageError(
      'A bundle needs phrases to be checked by, which are looked for if no others are given; name them with `phrases`, as in "forklift, person".',
    );
  if (tokens < SHORTEST_PROMPT || tokens > longestPrompt)
    throw new UsageError(
      `A prompt of ${tokens} \`tokens\` is not possible; give a number from ${SHORTEST_PROMPT} to ${longestPrompt}.`,
    );
  const prompt = createPrompt(phrases, createTokenizer(source.tokenizer, source.source), tokens);
  const [chunk, ...others] = prompt.chunks;
  if (!chunk || others.length > 0)
    throw new UsageError(
      `The phrases fill ${prompt.chunks.length} prompts of ${tokens} \`tokens\`; give more tokens, up to ${longestPrompt}, or fewer phrases.`,
    );
  for (const sentence of prompt.warnings) onNotice?.(sentence);
  return { phrases: prompt.phrases, chunk };
}

/**
 * The text encoder of a bundle.
 *
 * @param portable the form of the model from which those of all sizes are made
 * @param runtime `finish` makes the last changes to a model
 * @throws InputError if it would not load in the runtime, or the scripts cannot read phrases as the model's tokenizer does
 */
export async function bundleText(
  portable: ModelPackage,
  { tokens, output, phrases = [] }: TextOptions & { readonly tokens: number },
  runtime: CheckedRuntime & { finish(made: ModelPackage): Promise<void> },
): Promise<BundleText> {
  const rules = wordPieceRules(portable.tokenizer, portable.source);
  const made = await textModel(portable, tokens);
  await runtime.finish(made);
  await checkModel(made.model, `${output}/${TEXT_ENGINE.model}`, runtime);
  return { model: made.model, phrases, tokens, rules };
}
