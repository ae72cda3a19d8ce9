/** The steps around the runs of GroundingDINO's two halves. They build and read no graph, so that they run in a browser too. */
import type { Size } from '../../data/size.ts';
import { floatData } from '../../runtime/tensor.ts';
import type { DetectionSteps, PromptChunk } from '../detection-family.ts';
import type { NamedOutputs } from '../named-outputs.ts';
import { padForQueries } from './canvas.ts';
import { type Config, longestText } from './config.ts';
import { fixedPromptLength, imageFeeds, PROMPT_LAYOUT, promptChoice, promptFeeds, textFeeds } from './half-feeds.ts';
import { groundedBoxes, type RawDetections, rankedBoxes } from './postprocess.ts';
import { createPrompt } from './prompt.ts';
import { VALID_PIXELS } from './value-names.ts';

const RESULTS = { logits: 'logits', boxes: 'pred_boxes' };

/** Returns the steps around the runs of models with this configuration. */
export function groundingDinoSteps(config: Config): DetectionSteps {
  const longestPrompt = longestText(config);
  return {
    results: RESULTS,
    steadyInputs: [VALID_PIXELS],
    promptLayout: PROMPT_LAYOUT,
    longestPrompt,
    createPrompt: (phrases, tokenizer, longest = longestPrompt) => createPrompt(phrases, tokenizer, longest),
    fixedPromptLength,
    textFeeds,
    promptFeeds,
    promptChoice,
    imageFeeds: (images, takes) => imageFeeds(padForQueries(config, images), takes),
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
