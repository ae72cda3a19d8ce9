/**
 * The interface of a quantization target: a runtime, with the number formats that it computes in and the arrangement of
 * quantized nodes that it fuses. A new target is a folder beside this file and a line in `targets.ts`.
 */
import type { GraphIndex } from '../../onnx/graph-index.ts';
import type { Infos } from '../../onnx/infer/infer.ts';
import type { Model } from '../../onnx/read.ts';
import type { NodeProto } from '../../onnx/types.ts';
import type { SessionOptions } from '../../runtime/options.ts';
import type { Feeds } from '../../runtime/session.ts';
import type { Bias } from '../bias.ts';
import type { Mode } from '../operators/operator.ts';
import type { PlanEntry } from '../plan-entry.ts';
import type { Scheme } from '../scheme.ts';
import type { Additions } from '../weights.ts';
import type { OperatorTable } from './operator-table.ts';

/** A quantized value in the graph: the names of its integers, and of their scale and zero point. */
export interface QuantizedValue {
  /** The name of the tensor of integers. */
  readonly values: string;
  /** The name of the scale. */
  readonly scale: string;
  /** The name of the zero point. */
  readonly zeroPoint: string;
}

/** The graph before quantization, for a target that decides by neighbours or shapes. */
export interface FloatGraph {
  /** The producers and users of each value. */
  readonly index: GraphIndex;
  /** The types and shapes of values, as far as they are known. */
  readonly infos: Infos;
}

/** The state that the placing of all entries shares. */
export interface PlacingContext {
  /** Nodes and tensors that are added to the graph. */
  readonly added: Additions;
  /** Activations that are quantized already, by a key of the target: one that feeds several layers is quantized once. */
  readonly shared: Map<string, QuantizedValue>;
  /** The bias that is added to the node's result and to nothing else, corrected if the recipe says so. */
  biasOf(node: NodeProto): Bias | undefined;
  /** Removes a node whose work the placed nodes do, such as the addition of a bias. */
  absorb(node: NodeProto): void;
}

/** One finding of a linter. */
export interface LintFinding {
  /** The name of the node. */
  readonly node: string;
  /** The type of its operator. */
  readonly operator: string;
  /** What the runtime does with the node, as a phrase. */
  readonly problem: string;
  /** The name of the rule that the node breaks, for linters that read rules. */
  readonly rule?: string | undefined;
  /** The address of the source of the rule. */
  readonly source?: string | undefined;
  /** False for findings that cost time on purpose. */
  readonly isDefect: boolean;
  /** The time of the node in a run; undefined if the linter does not run the model. */
  readonly seconds?: number | undefined;
}

/** The findings of a linter in a quantized model. */
export interface LintReport {
  /** The most expensive first, where times are known. */
  readonly findings: readonly LintFinding[];
  /** A sentence that sums up the model. */
  readonly summary: string;
  /** How to get rid of the defects, as a phrase. */
  readonly advice: string;
  /** The time of a whole run; undefined if the linter does not run the model. */
  readonly seconds?: number | undefined;
}

/** Inputs and settings for linters that run the model. */
export interface LintOptions {
  /** Inputs of realistic sizes. It is only called by linters that run the model. */
  readonly feeds: () => Feeds;
  /** The version of the runtime, for linters that read rules; by default all versions that models are made for. */
  readonly version?: string | undefined;
  /** Options of the session that runs the model. */
  readonly session?: SessionOptions | undefined;
}

/** A runtime that models are quantized for. */
export interface QuantizationTarget {
  /** The name on the command line and in options. */
  readonly name: string;
  /** The runtime as a phrase for help texts. */
  readonly description: string;
  /** The integers of activations. */
  readonly activations: Scheme;
  /** The operators that the runtime takes, as data; undefined if only a run of the model tells. */
  readonly operators?: OperatorTable | undefined;
  /** True if scale and zero point may be looked up by the length of the text. */
  readonly looksUpByLength: boolean;
  /**
   * Narrows an entry to what the runtime can compute in integers: fewer places, or none.
   *
   * @returns the entry to place, or a phrase that says why the node stays float
   * @throws UsageError if the recipe asks for what the runtime can neither compute nor leave in float
   */
  narrow(entry: PlanEntry, graph: FloatGraph): PlanEntry | string;
  /**
   * The nodes that replace `node`, the entry's node in the graph that is rewritten. The inputs of `node` may have other
   * names than those of the entry's node.
   */
  place(entry: PlanEntry, node: NodeProto, context: PlacingContext): NodeProto[];
  /**
   * Passes over the whole model after constants are folded. A pass that adds constants folds them itself. `mayRoundAgain` is true if
   * all weights are rounded to the nearest 8-bit integer of their channel, so that their products may be rounded in the same way;
   * integers that a technique or a training has chosen have to stay as they are. A pass that computes a node of the plan in another
   * mode adds the node's name and that mode to `modes`.
   */
  finish(model: Model, mayRoundAgain: boolean, modes: Map<string, Mode>): Promise<void> | void;
  /** Looks for quantized places that the runtime does not compute in integers. */
  lint(model: Model, options: LintOptions): Promise<LintReport>;
}
