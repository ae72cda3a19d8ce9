/** The results that only training looks at. */
import type { Value } from '../../../onnx/builder.ts';
import { classSimilarity, similarity } from '../class-head.ts';
import type { Config } from '../config.ts';
import type { DecoderLayerOutput } from '../decoder.ts';
import type { Network } from '../network.ts';
import { boxDeltas, type Proposals, type Selection } from '../query-selection.ts';
import type { Stages } from '../stages.ts';

/**
 * What a loss looks at. Of each decoder layer and of the selected proposals (`query_…`): similarities to the tokens
 * [batch, queries, tokens], not masked, and boxes [batch, queries, 4]; of the `extra` queries apart. Of all proposals: the same, boxes as logits, and
 * which are valid.
 */
export function trainedStages(
  network: Network,
  config: Config,
  parts: {
    layers: readonly DecoderLayerOutput[];
    /** Those of the last layer. */
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
