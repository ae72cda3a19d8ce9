/** The parts of GroundingDINO whose weights keep 8 bits where those of other layers have 4. */
import { SINGLE_PRECISION } from './single-precision.ts';

/**
 * Patterns of module paths: the layers for which 16-bit floats are too few, and the decoder, whose errors change the meaning of queries.
 * On 100 images the bundled model loses 1.2 points of AP in 4 bits without the decoder in this list, 0.3 with it, and 0.3 with the encoder
 * too; instead of them, the backbone or the text encoder gain nothing.
 */
export const EIGHT_BIT_WEIGHTS: readonly string[] = [...SINGLE_PRECISION, 'model.decoder.**'];
