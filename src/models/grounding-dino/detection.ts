/** GroundingDINO's detection capability. */
import type { Size } from '../../data/size.ts';
import { floatData } from '../../runtime/tensor.ts';
import type { DetectionFamily, PromptChunk } from '../detection-family.ts';
import type { NamedOutputs } from '../named-outputs.ts';
import { blankPrompt } from './blank-feeds.ts';
import { canvasFor, padForQueries } from './canvas.ts';
import { combinedFeeds } from './combined-feeds.ts';
import { type Config, longestText } from './config.ts';
import { extractHalf, fixPrompt, joinHalves } from './grounding-dino.ts';
import { fixedPromptLength, imageFeeds, promptFeeds, textFeeds } from './half-feeds.ts';
import { groundedBoxes, type RawDetections, rankedBoxes } from './postprocess.ts';
import { createPrompt } from './prompt.ts';

const RESULTS = { logits: 'logits', boxes: 'pred_boxes' };

/** The detection capability of models with this configuration. */
export function groundingDinoDetection(config: Config): DetectionFamily {
  const longestPrompt = longestText(config);
  return {
    results: RESULTS,
    longestPrompt,
    extractHalf,
    joinHalves,
    fixPrompt,
    createPrompt: (phrases, tokenizer, longest = longestPrompt) => createPrompt(phrases, tokenizer, longest),
    blankPrompt: (tokens) => blankPrompt(config, tokens),
    fixedPromptLength,
    textFeeds,
    promptFeeds,
    canvasFor: (size) => canvasFor(config, size),
    imageFeeds: (images, takes) => imageFeeds(padForQueries(config, images), takes),
    combinedFeeds: (image, tokens) => combinedFeeds(padForQueries(config, image), tokens),
    groundedBoxes: (outputs: NamedOutputs, chunk: PromptChunk, size: Size, threshold: number) =>
      groundedBoxes(rawDetections(outputs), chunk, size, threshold),
    rankedBoxes: (outputs: NamedOutputs, chunk: PromptChunk, size: Size, limit: number) =>
      rankedBoxes(rawDetections(outputs), chunk, size, limit),
  };
}

/** The results of the half `detect` for one image. */
function rawDetections(outputs: NamedOutputs): RawDetections {
  const [logits, boxes] = [outputs.get(RESULTS.logits), outputs.get(RESULTS.boxes)];
  return { logits: floatData(logits), boxes: floatData(boxes), queries: boxes.shape[1] ?? 0 };
}
