/** The values of the network that only training needs. */
import type { Value } from '../../../onnx/builder.ts';
import { classSimilarity, similarity } from '../class-head.ts';
import type { Config } from '../config.ts';
import type { DecoderLayerOutput } from '../decoder.ts';
import type { Network } from '../network.ts';
import { boxDeltas, type Proposals, type Selection } from '../query-selection.ts';
import type { Stages } from '../stages.ts';

/**
 * The stages for losses, by name. Logits are similarities to the tokens without the mask of padding; boxes are (cx, cy, w, h)
 * in 0..1.
 *
 * | name | shape | meaning |
 * |---|---|---|
 * | `logits_N`, `boxes_N` | [batch, queries, tokens], [batch, queries, 4] | decoder layer N, the network's own queries |
 * | `extra_logits_N`, `extra_boxes_N` | [batch, extra, tokens], [batch, extra, 4] | decoder layer N, the extra queries |
 * | `query_logits`, `query_boxes` | [batch, queries, tokens], [batch, queries, 4] | the selected proposals of the encoder |
 * | `proposal_logits` | [batch, positions, tokens] | all proposals of the encoder |
 * | `proposal_box_logits` | [batch, positions, 4] | their boxes before the sigmoid |
 * | `proposal_valid` | [batch, positions] | true for proposals that are not padding |
 *
 * @param extra the number of queries before those of the network
 */
export function trainedStages(
  network: Network,
  config: Config,
  parts: {
    layers: readonly DecoderLayerOutput[];
    /** The logits of the last layer, [batch, extra + queries, tokens]. */
    similarities: Value;
    text: Value;
    selection: Selection;
    proposal: Proposals;
  },
  extra = 0,
): Stages {
  const { b } = network;
  const { layers, similarities, text, selection, proposal } = parts;
  const encoderBias = config.model_type === 'mm-grounding-dino' ? 'encoder_output_class_embed' : undefined;
  const similar = (candidates: Value) =>
    b.scope('query_selection', () => similarity(network, config, candidates, text, encoderBias));
  return {
    ...Object.fromEntries(
      layers.flatMap((output, layer) => {
        const isLast = layer + 1 === layers.length;
        const logits = isLast ? similarities : classSimilarity(network, config, output, text, layer);
        if (extra === 0)
          return [
            [`logits_${layer}`, logits],
            [`boxes_${layer}`, output.boxes],
          ];
        const parts = (value: Value) => b.split(value, b.integers(extra, config.num_queries), 2, 1);
        const [extraLogits, ownLogits] = parts(logits);
        const [extraBoxes, ownBoxes] = parts(output.boxes);
        return [
          [`logits_${layer}`, ownLogits],
          [`boxes_${layer}`, ownBoxes],
          [`extra_logits_${layer}`, extraLogits],
          [`extra_boxes_${layer}`, extraBoxes],
        ];
      }),
    ),
    query_logits: similar(b.gatherRows(selection.candidates, selection.indices)),
    query_boxes: selection.boxes,
    proposal_logits: similar(selection.candidates),
    proposal_box_logits: b.add(boxDeltas(network, config, selection.candidates), proposal.logits),
    proposal_valid: proposal.valid,
  };
}
