/** GroundingDINO (https://arxiv.org/abs/2303.05499) and MM-Grounding-DINO (https://arxiv.org/abs/2401.02361) as a family. */
import { UsageError } from '../../base/errors.ts';
import type { Preprocessing } from '../../data/preprocessing.ts';
import type { ModelFamily } from '../family.ts';
import { blankFeeds } from './blank-feeds.ts';
import { compareOutputs, outputFigures, outputLoss } from './compare-outputs.ts';
import type { Config } from './config.ts';
import { groundingDinoDetection } from './detection.ts';
import { groundingDinoObservation } from './observation.ts';
import { SENSITIVE_PARTS } from './sensitive.ts';
import { groundingDinoSizes } from './sizes.ts';
import { groundingDinoTraining } from './training/training.ts';

/** The family of models with this configuration and image preprocessing. */
export function groundingDino(config: Config, preprocessing: Preprocessing): ModelFamily {
  return {
    name: 'grounding-dino',
    observation: groundingDinoObservation,
    sensitiveParts: SENSITIVE_PARTS,
    outputFigures,
    compareOutputs,
    outputLoss,
    blankFeeds: (_, { tokens, shapes } = {}) => {
      if (shapes) throw new UsageError('The shapes of inputs follow from the model, so they cannot be stated.');
      return blankFeeds(config, preprocessing, tokens);
    },
    sizes: groundingDinoSizes,
    detection: groundingDinoDetection(config),
    training: groundingDinoTraining(config),
  };
}
