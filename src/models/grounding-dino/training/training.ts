/** GroundingDINO's training capability. */
import type { TrainingFamily } from '../../training-family.ts';
import { headName } from '../checkpoint/parameter-names.ts';
import type { Config } from '../config.ts';
import { MASKED } from '../network.ts';
import { DENOISING, denoisingGroups, denoisingMask, denoisingQueries, EMPTY_BOX } from './denoising.ts';
import { distillationLoss, FEATURES, freezeQueries, teacherModel } from './distillation.ts';
import { initialWeights } from './initial-weights.ts';
import { headLoss, matchingCosts } from './loss.ts';
import { parameterTraits, segmentOf } from './parameter-traits.ts';
import { tensorShapes } from './tensor-shapes.ts';
import { buildTrainingGraph, EXTRA_INPUTS, extraHeads, trainedHeads } from './training-graph.ts';

/** The training capability of models with this configuration. */
export function groundingDinoTraining(config: Config): TrainingFamily {
  const heads = trainedHeads(config);
  return {
    width: config.d_model,
    queries: config.num_queries,
    inputs: { pixels: 'pixel_values', pixelMask: 'pixel_mask', tokens: 'input_ids', tokenMask: 'attention_mask' },
    heads,
    denoisingHeads: extraHeads(config),
    denoising: {
      defaults: DENOISING,
      inputs: EXTRA_INPUTS,
      emptyBox: EMPTY_BOX,
      groups: denoisingGroups,
      draw: denoisingQueries,
      mask: (groups, targets) => denoisingMask(groups, targets, config.num_queries, MASKED),
    },
    distillation: {
      stages: FEATURES,
      teacherModel: (model) => teacherModel(model, heads),
      freezeQueries,
      loss: (b, targets, weights) => distillationLoss(b, heads, targets, weights),
    },
    buildGraph: (tensors, options) => buildTrainingGraph({ config, tensors }, options),
    segmentOf,
    matchingCosts,
    headLoss,
    parameterTraits,
    canonicalName: headName,
    tensorShapes: () => tensorShapes(config),
    initialWeights: (tensors, seed) => initialWeights(tensors, config, seed),
  };
}
