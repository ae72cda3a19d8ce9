/** The trained parameters of a network, and the groups in which the optimizer treats them. */

/** A tensor that is trained: a weight of the network, or a scale of its quantization. */
export interface TrainedParameter {
  /** The name in the checkpoint; that of a scale ends in `SCALE_SUFFIX`. */
  readonly name: string;
  /** The graph input of the forward and backward models that takes the value. */
  readonly input: string;
  /** The output of the backward model that holds the gradient of the loss. */
  readonly gradient: string;
  /** The number of entries along each dimension. */
  readonly shape: readonly number[];
  /** The name of the group that the parameter belongs to. */
  readonly group: string;
}

/** Parameters that the optimizer treats alike. */
export interface ParameterGroup {
  /** The name of the group, as logs show it. */
  readonly name: string;
  /** The learning rate of the group, as a multiple of the schedule's. */
  readonly rate: number;
  /** The weight decay of AdamW. */
  readonly weightDecay: number;
}

/** The end of the names of learned quantization scales. No checkpoint has such names. */
export const SCALE_SUFFIX = '.learned_scale';
