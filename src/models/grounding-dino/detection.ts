/** GroundingDINO's detection capability. */
import type { DetectionFamily } from '../detection-family.ts';
import { blankPrompt } from './blank-feeds.ts';
import { canvasFor, padForQueries } from './canvas.ts';
import { combinedFeeds } from './combined-feeds.ts';
import { compareTokens } from './compare-outputs.ts';
import type { Config } from './config.ts';
import { groundingDinoSteps } from './detection-steps.ts';
import { choosePrompt, fixPrompts } from './fixed-prompts.ts';
import { extractHalf, joinHalves } from './grounding-dino.ts';

/** The detection capability of models with this configuration. */
export function groundingDinoDetection(config: Config): DetectionFamily {
  return {
    ...groundingDinoSteps(config),
    extractHalf,
    joinHalves,
    fixPrompts,
    choosePrompt,
    compareTokens,
    blankPrompt: (tokens) => blankPrompt(config, tokens),
    canvasFor: (size) => canvasFor(config, size),
    combinedFeeds: (image, tokens) => combinedFeeds(padForQueries(config, image), tokens),
  };
}
