/** How the inputs of the combined model depend on batch, image size and prompt length. */
import type { SizeRules } from '../specialize.ts';
import { type CanvasConfig, canvasFor } from './canvas.ts';
import { VALID_PIXELS } from './value-names.ts';

/** Pixels along a side for one position of the backbone's last map: patches of 4, which are halved three times. */
const COARSEST_STRIDE = 32;

/** The dimensions have the names that `buildModel` gives them. */
export const groundingDinoSizes = (config: CanvasConfig): SizeRules => ({
  dimensions: { batch: 'batch', height: 'height', width: 'width', textLength: 'tokens' },
  inputs: { pixel_values: ['batch', 3, 'height', 'width'], input_ids: ['batch', 'tokens'] },
  validPixels: VALID_PIXELS,
  multiple: COARSEST_STRIDE,
  canvasFor: (size) => canvasFor(config, size),
});
