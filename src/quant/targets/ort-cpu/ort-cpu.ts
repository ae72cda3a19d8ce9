/** ONNX Runtime on CPUs: uint8 activations with a zero point, int8 weights, in the forms that it fuses. */
import type { NodeProto } from '../../../onnx/types.ts';
import { foldConstants } from '../../../runtime/fold-constants.ts';
import type { PlanEntry } from '../../plan-entry.ts';
import { UINT8 } from '../../scheme.ts';
import type { PlacingContext, QuantizationTarget } from '../target.ts';
import { storeAsIntegers } from '../weight-only.ts';
import { computeOnBytes } from './byte-activations.ts';
import { placeDynamic } from './dynamic.ts';
import { fuseFusion } from './fuse-fusion.ts';
import { fuseFusionNorms } from './fuse-fusion-norm.ts';
import { fuseFusionSums } from './fuse-fusion-sum.ts';
import { fuseGroupNorms } from './fuse-group-norms.ts';
import { fuseMultiHeadAttention } from './fuse-multi-head-attention.ts';
import { fusePatchEmbedding } from './fuse-patch-embedding.ts';
import { fusePatchMerging } from './fuse-patch-merging.ts';
import { fuseProjectedAttention } from './fuse-projected-attention.ts';
import { fuseProjections } from './fuse-projection.ts';
import { fuseProposalScores } from './fuse-proposal-scores.ts';
import { fuseSineEmbedding } from './fuse-sine-embedding.ts';
import { declareIntegerProduct } from './integer-product.ts';
import { joinParts } from './join-parts.ts';
import { computeWeightsLate } from './late-weights.ts';
import { fuseLinearBlocks } from './linear-blocks.ts';
import { lintForOrtCpu } from './lint-ort-cpu.ts';
import { mergeHeadProducts } from './merge-head-products.ts';
import { declareOverwrittenInputs } from './overwritten-inputs.ts';
import { quantizeEarly } from './quantize-early.ts';
import { quantizeResults } from './quantize-results.ts';
import { scaleColumns } from './scale-columns.ts';
import { placeStatic } from './static.ts';
import { fuseWindowAttention } from './window-attention.ts';

export const ortCpu: QuantizationTarget = {
  name: 'ort-cpu',
  description: 'ONNX Runtime on CPUs',
  activations: UINT8,
  looksUpByLength: true,
  narrow: (entry) => entry,
  place,
  async finish(model, mayRoundAgain, modes) {
    declareIntegerProduct(model);
    if (computeOnBytes(model) > 0) await foldConstants(model);
    if (mayRoundAgain) await mergeHeadProducts(model, modes);
    fuseMultiHeadAttention(model);
    fuseSineEmbedding(model);
    quantizeEarly(model);
    if (fuseGroupNorms(model) > 0) await foldConstants(model);
    joinParts(model);
    fuseFusion(model);
    fuseFusionNorms(model);
    const attentions = await fuseWindowAttention(model);
    if (fuseLinearBlocks(model) + attentions > 0) await foldConstants(model);
    fuseProjections(model);
    fuseProposalScores(model);
    fuseProjectedAttention(model);
    await fusePatchEmbedding(model);
    await fusePatchMerging(model);
    quantizeResults(model);
    fuseFusionSums(model);
    computeWeightsLate(model);
    declareOverwrittenInputs(model);
  },
  lint: lintForOrtCpu,
};

function place(entry: PlanEntry, node: NodeProto, context: PlacingContext): NodeProto[] {
  switch (entry.mode) {
    case 'float':
      return [node];
    case 'dynamic':
      return placeDynamic(entry, node, context);
    case 'static':
      return placeStatic(entry, node, context);
    case 'weight-only':
      return scaleColumns(storeAsIntegers(entry, node, context.added), entry.weight, context.added);
  }
}
