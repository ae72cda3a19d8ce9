/** How the inputs of the combined model depend on batch, image size and prompt length. */
import type { SizeRules } from '../specialize.ts';
import { type CanvasConfig, canvasFor } from './canvas.ts';

/** The dimensions have the names that `buildModel` gives them. */
export const groundingDinoSizes = (config: CanvasConfig): SizeRules => ({
  dimensions: { batch: 'batch', height: 'height', width: 'width', textLength: 'tokens' },
  inputs: { pixel_values: ['batch', 3, 'height', 'width'], input_ids: ['batch', 'tokens'] },
  validPixels: 'valid_pixels',
  canvasFor: (size) => canvasFor(config, size),
});
