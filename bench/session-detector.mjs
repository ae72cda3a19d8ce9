// Lets `scoreDataset` score a model that runs elsewhere than in dino8's detector: anything with the interface of `Session`.
import { combinedFeeds, rankedBoxes } from '../dist/models.mjs';

/**
 * @param session has `inputs` and `run`; its model takes the inputs of a combined model, or some of them
 * @param preprocessor prepares the pictures
 * @param prompt what `encodePrompt` returned, of one chunk
 */
export function sessionDetector(session, preprocessor, prompt) {
  const [{ chunk }] = prompt.chunks;
  return {
    encodePrompt: async () => prompt,
    /** The results for one picture, which the caller disposes of. */
    async run(image) {
      const feeds = combinedFeeds(await preprocessor.prepare([image]), chunk.tokens);
      return session.run(Object.fromEntries(Object.entries(feeds).filter(([name]) => session.inputs.has(name))));
    },
    async rank(image, _, most) {
      const outputs = await this.run(image);
      const [logits, boxes] = [outputs.get('logits'), outputs.get('pred_boxes')];
      const raw = { logits: logits.data, boxes: boxes.data, queries: boxes.shape[1] };
      const found = rankedBoxes(raw, chunk, image, most);
      outputs.dispose();
      return found;
    },
  };
}
