/** Inputs of a realistic size without meaning, for steps that need sizes only. */
import type { LoadedModel } from '../models/family.ts';
import type { Feeds } from '../runtime/session.ts';

/** The sizes of inputs that mean nothing. */
export interface BlankInputOptions {
  /** Tokens of the prompt, for a detector; 32 by default. */
  readonly tokens?: number | undefined;
  /** Shapes of inputs by name, for a model that is no detector of dino8 and does not state all of its sizes. */
  readonly shapes?: Readonly<Record<string, readonly number[]>> | undefined;
}

/** The default number of tokens. */
export const BLANK_TOKENS = 32;

/** @throws UsageError if a size is missing, or is stated for a model that does not have it */
export function blankInputs(source: LoadedModel, { tokens, shapes }: BlankInputOptions): Feeds {
  const stated = shapes && new Map(Object.entries(shapes));
  if (source.family.detection)
    return source.family.blankFeeds(source, { tokens: tokens ?? BLANK_TOKENS, shapes: stated });
  return source.family.blankFeeds(source, { tokens, shapes: stated });
}
