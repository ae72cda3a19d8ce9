/** The parts of a quantization plan: the treatment of one node, as data. */
import type { NodeProto, TensorProto } from '../onnx/types.ts';
import type { Statistic } from './observe/statistic.ts';
import type { Mode, Port } from './operators/operator.ts';
import type { Quantizable } from './operators/operators.ts';
import type { Rule } from './recipe.ts';
import type { Range, WeightScheme } from './scheme.ts';

/** An input or an output of a node in a graph. */
export interface Place extends Port {
  /** The name of the node. */
  readonly node: string;
}

/** An activation that is quantized at one place. */
export interface PlannedActivation extends Place {
  /** The name of the value. */
  readonly value: string;
  /** The value that it is an arrangement or a part of. All arrangements of one source have the same range. */
  readonly source: string;
  /**
   * The range of the source beyond which all its users are constant, such as −3 … ∞ before HardSwish; undefined if it has no
   * such end. The range from calibration ends there at the latest.
   */
  readonly useful?: Range | undefined;
  /** The range from calibration; undefined in a dynamic entry, and until the ranges of the plan are resolved. */
  readonly range?: Range | undefined;
  /** Set where scale and zero point are looked up by the length of the text when the model runs. */
  readonly byLength?: LengthLookup | undefined;
}

/** Ranges by the length of the text. */
export interface LengthLookup {
  /** The ranges, the shortest texts first. The last one has no maximum length and holds for all that are longer. */
  readonly ranges: readonly {
    /** The maximum number of tokens; infinite in the last range. */
    readonly tokens: number;
    /** The range of texts of this length. */
    readonly range: Range;
  }[];
  /** The value whose second dimension is the length of the text. */
  readonly length: string;
}

/** A weight that is stored as integers. */
export interface PlannedWeight extends Place {
  /** The initializer that is stored as integers. */
  readonly weight: TensorProto;
  /** The axis along which every entry has its own scale. */
  readonly axis: number;
  /** The number of bits and the scales. */
  readonly scheme: WeightScheme;
}

/** A rule of a recipe. */
export interface NumberedRule {
  /** Its position in the recipe, from 1. */
  readonly number: number;
  /** The rule. */
  readonly rule: Rule;
}

/** A bias that is corrected by the mean of the layer's input. */
export interface PlannedCorrection {
  /** The value whose mean by channel is needed. */
  readonly value: string;
  /** Undefined until the ranges of the plan are resolved. */
  readonly statistic?: Statistic | undefined;
}

/** The treatment of one node by a plan. */
export interface PlanEntry {
  /** The node in the float graph. */
  readonly node: NodeProto;
  /** The module path of the node. */
  readonly path: string;
  /** The type of the operator. */
  readonly operator: string;
  /** The value of `inputs` in rules that apply to the node: `weights` if it computes with a stored weight. */
  readonly operands: Rule['inputs'];
  /** The inputs, outputs and weight that can be quantized. */
  readonly quantizable: Quantizable;
  /** How the node is computed. */
  readonly mode: Mode;
  /** The activations that are quantized; none in the modes `float` and `weight-only`. */
  readonly activations: readonly PlannedActivation[];
  /** Undefined in the mode `float`, and where the operands are activations only. */
  readonly weight?: PlannedWeight | undefined;
  /** The correction of the bias; undefined if the recipe does not ask for one, or if the layer has no bias. */
  readonly correction?: PlannedCorrection | undefined;
  /** The entry that replaces this one if statistics show that its range changes with the text; undefined if the recipe has none. */
  readonly ifTextDependent?: PlanEntry | undefined;
  /** The rule that says so; undefined if none matched, in which case the node stays float. */
  readonly rule?: NumberedRule | undefined;
  /** Why the target leaves the node in float although the rule says otherwise. */
  readonly refusal?: string | undefined;
}

/** The result of a layer that is clipped to a percentile of its magnitudes. */
export interface PlannedClip {
  /** The name of the value: the layer's result, its bias included. */
  readonly value: string;
  /** The module path of the layer. */
  readonly path: string;
  /** The percentile of the magnitudes to which the result is clipped, as in the recipe. */
  readonly percentile: number;
  /** The largest magnitude that is left; undefined until the ranges of the plan are resolved. */
  readonly limit?: number | undefined;
}
