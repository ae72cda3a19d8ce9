/** GroundingDINO (https://arxiv.org/abs/2303.05499) and MM-Grounding-DINO (https://arxiv.org/abs/2401.02361) as a family. */
import { UsageError } from '../../base/errors.ts';
import type { Preprocessing } from '../../data/preprocessing.ts';
import type { CompanionDefaults, ModelFamily } from '../family.ts';
import type { FamilyDefinition } from '../family-definition.ts';
import { readFixedPrompts } from '../fixed-prompt.ts';
import { blankFeeds, blankImage } from './blank-feeds.ts';
import { readCheckpointFile } from './checkpoint/checkpoint-file.ts';
import { readHuggingFace } from './checkpoint/hugging-face.ts';
import { compareOutputs, outputFigures, outputLoss } from './compare-outputs.ts';
import { type Config, MODEL_TYPES, parseConfig } from './config.ts';
import { groundingDinoDetection } from './detection.ts';
import { EIGHT_BIT_WEIGHTS } from './eight-bit-weights.ts';
import { addTokenTypes, buildModel } from './grounding-dino.ts';
import { MODULES } from './modules.ts';
import { groundingDinoObservation } from './observation.ts';
import { SENSITIVE_PARTS } from './sensitive.ts';
import { SINGLE_PRECISION } from './single-precision.ts';
import { groundingDinoSizes } from './sizes.ts';
import { groundingDinoTraining } from './training/training.ts';

/** Settings that transformers looks for and that a checkpoint in the original format lacks. */
const companionDefaults: CompanionDefaults = {
  config: { architectures: ['GroundingDinoForObjectDetection'] },
  preprocessing: {
    image_processor_type: 'GroundingDinoImageProcessor',
    processor_class: 'GroundingDinoProcessor',
  },
};

/** The entry of GroundingDINO in the table of families. */
export const groundingDinoDefinition: FamilyDefinition = {
  modelTypes: MODEL_TYPES,
  // transformers' defaults are the sizes of grounding-dino-tiny: Swin-T and BERT base.
  publishedConfig: { model_type: 'grounding-dino', backbone_config: { model_type: 'swin' }, text_config: {} },
  imageProcessors: [
    'GroundingDinoImageProcessor',
    'GroundingDinoImageProcessorFast',
    'GroundingDinoImageProcessorPil',
    'GroundingDinoFeatureExtractor',
  ],
  open: (config, preprocessing, source) => groundingDino(parseConfig(config, source), preprocessing),
  vocabularySize: (config) => (config as Config).text_config.vocab_size, // what `open` and the readers give
  readFolder: readHuggingFace,
  readFile: readCheckpointFile,
  renew: addTokenTypes,
};

/** The family of models with this configuration and image preprocessing. */
function groundingDino(config: Config, preprocessing: Preprocessing): ModelFamily {
  return {
    name: 'grounding-dino',
    observation: groundingDinoObservation,
    sensitiveParts: SENSITIVE_PARTS,
    modules: MODULES,
    singlePrecision: SINGLE_PRECISION,
    eightBitWeights: EIGHT_BIT_WEIGHTS,
    outputFigures,
    compareOutputs,
    outputLoss,
    blankFeeds: ({ model }, { tokens, shapes } = {}) => {
      if (shapes) throw new UsageError('The shapes of inputs follow from the model, so they cannot be stated.');
      return readFixedPrompts(model).length > 0
        ? blankImage(config, preprocessing, new Set(model.graph.input.map(({ name }) => name)))
        : blankFeeds(config, preprocessing, tokens);
    },
    sizes: groundingDinoSizes(config),
    buildModel: (tensors, source) => buildModel({ config, tensors }, { source }),
    companionDefaults,
    detection: groundingDinoDetection(config),
    training: groundingDinoTraining(config),
  };
}
