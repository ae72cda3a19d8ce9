/** Intermediate values of the network by name. */
import type { Value } from '../../onnx/builder.ts';

/** Everything that a user or a test may want to see of a run, by name; `logits` and `pred_boxes` are the results. */
export type Stages = Readonly<Record<string, Value>>;
