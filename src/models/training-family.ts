/** The interface of a family of models that can be trained: the graph with its losses, and the treatment of each weight. */
import type { SegmentOf } from '../autodiff/recompute.ts';
import type { LabelledBox } from '../data/labelled-box.ts';
import type { GraphBuilder, Value } from '../onnx/builder.ts';
import type { Model } from '../onnx/read.ts';
import type { Checkpoint } from './checkpoint/checkpoint.ts';

/** A tensor of the checkpoint that is an input of a training graph. */
export interface Parameter {
  /** The name of the graph's input. */
  readonly input: string;
  /** The number of entries along each dimension. */
  readonly shape: readonly number[];
}

/** A network whose weights are inputs and whose heads are outputs. */
export interface TrainingGraph {
  /** The graph, without losses. */
  readonly model: Model;
  /** The weights of the network, by their names in the checkpoint. */
  readonly parameters: ReadonlyMap<string, Parameter>;
  /** Names of the values through which no gradient passes. */
  readonly detached: readonly string[];
}

/** Options of a training graph. */
export interface TrainingGraphOptions {
  /** Further results to give out, by the names of stages of the network. */
  readonly stages?: readonly string[];
  /** How errors name the checkpoint. */
  readonly source?: string;
  /** The number of denoising queries, which come before the queries of the network. */
  readonly extra?: number;
}

/** A place of the network to which a loss applies. */
export interface Head {
  /** The name of the head, as logs show it. */
  readonly name: string;
  /** The name of the value [batch, queries, tokens] of logits. */
  readonly logits: string;
  /** The name of the value [batch, queries, 4] of boxes (cx, cy, w, h) in 0..1. */
  readonly boxes: string;
}

/** The relative importance of the parts, both of the loss and of the matching's costs. */
export interface LossWeights {
  /** The weight of the classification. */
  readonly class: number;
  /** The weight of the L1 distance of boxes. */
  readonly box: number;
  /** The weight of the generalised intersection over union. */
  readonly giou: number;
}

/** The labels of a batch as values of the graph. The last target of an image stands for none: its row is zeros. */
export interface Targets {
  /** (cx, cy, w, h) in 0..1, [batch, targets, 4]. */
  readonly boxes: Value;
  /** 1 for the tokens of a target's phrase, [batch, targets, tokens]. */
  readonly tokens: Value;
  /** 1 for tokens that are not padding, [batch, tokens]. */
  readonly tokenMask: Value;
  /** The number of targets in the batch, at least 1: a scalar. */
  readonly count: Value;
}

/** The results of a head as values of the graph. */
export interface Predictions {
  /** [batch, queries, tokens] */
  readonly logits: Value;
  /** (cx, cy, w, h) in 0..1, [batch, queries, 4]. */
  readonly boxes: Value;
}

/** The parts of a head's loss: scalars, each summed over all queries and divided by the number of targets. */
export interface LossParts {
  /** The classification loss. */
  readonly class: Value;
  /** The L1 distance of the boxes. */
  readonly box: Value;
  /** One minus the generalised intersection over union. */
  readonly giou: Value;
}

/** Settings of denoising queries. */
export interface DenoisingSettings {
  /** The maximum number of denoising queries of an image; 0 turns denoising off. */
  readonly queries: number;
  /** The fraction of queries, in 0..1, that get the phrase of another category. */
  readonly labelNoise: number;
  /** How far the corners of a box move, as a multiple of half its size; those of negatives move up to twice as far. */
  readonly boxNoise: number;
}

/** A denoising query of an image. */
export interface DenoisingQuery {
  /** (cx, cy, w, h) in 0..1. */
  readonly box: readonly [number, number, number, number];
  /** The category whose phrase the query has. */
  readonly category: number;
  /** Index of the target that the query is to become; undefined for a query that is too far away from all targets. */
  readonly target: number | undefined;
}

/** Denoising queries (Zhang et al. 2022, https://arxiv.org/abs/2203.03605). */
export interface DenoisingFamily {
  /** The settings that the published training uses. */
  readonly defaults: DenoisingSettings;
  /** Names of the graph's inputs: token fractions of contents, boxes, and the mask that says which query sees which. */
  readonly inputs: {
    /** The fraction of each token in the contents of a query. */
    readonly tokens: string;
    /** The boxes that the queries start from. */
    readonly boxes: string;
    /** The mask that says which query sees which. */
    readonly mask: string;
  };
  /** The box of a place that no query takes. */
  readonly emptyBox: readonly [number, number, number, number];
  /** The number of groups of 2 · `targets` queries. */
  groups(settings: DenoisingSettings, targets: number): number;
  /**
   * Draws the queries of an image, in groups of `targets` positives and as many negatives; undefined where an image has no
   * target for a place.
   *
   * @param labels with boxes in fractions of the image
   * @param categories those of the prompt
   * @param random returns numbers in 0..1
   */
  draw(
    labels: readonly LabelledBox[],
    categories: readonly number[],
    settings: DenoisingSettings & { readonly targets: number; readonly groups: number },
    random: () => number,
  ): (DenoisingQuery | undefined)[];
  /** Numbers that are added to the scores of all queries for each other, [extra + queries, extra + queries] row by row. */
  mask(groups: number, targets: number): Float32Array;
}

/** Learning from the network as it was (Hinton et al. 2015, https://arxiv.org/abs/1503.02531). */
export interface DistillationFamily {
  /** Stages that the training graph must give out. */
  readonly stages: readonly string[];
  /** The teacher's model, made from a copy of the student's. */
  teacherModel(model: Model): Model;
  /** Makes the teacher's choice of queries an input of the student's `model`, which is changed and returned. */
  freezeQueries(model: Model): Model;
  /** Adds the distance of the student from the teacher to the graph: a scalar, 0 where both agree. */
  loss(b: GraphBuilder, targets: Pick<Targets, 'tokenMask'>, weights: LossWeights): Value;
}

/** How the optimizer treats a weight. */
export interface ParameterTraits {
  /** Whether the weight belongs to a backbone, which was trained on other data before. */
  readonly isBackbone: boolean;
  /** Whether weight decay applies. Biases, normalisation and tables are not decayed. */
  readonly isDecayed: boolean;
}

/** The training capability of a family, for one configuration of its models. */
export interface TrainingFamily {
  /** The number of channels of the network between its backbones and its heads. Good learning rates fall with it. */
  readonly width: number;
  /** The number of queries of the network for an image. */
  readonly queries: number;
  /** Names of the training graph's inputs that come from data, with their shapes in the comments of the interface. */
  readonly inputs: {
    /** Normalised pixels [batch, 3, height, width], float. */
    readonly pixels: string;
    /** 1 where a pixel is of the image and not padding, [batch, height, width], int64. */
    readonly pixelMask: string;
    /** Token ids [batch, tokens], int64. */
    readonly tokens: string;
    /** 1 for tokens that are not padding, [batch, tokens], int64. */
    readonly tokenMask: string;
  };
  /** The heads of the network's own queries. */
  readonly heads: readonly Head[];
  /** The heads of the denoising queries. */
  readonly denoisingHeads: readonly Head[];
  /** Denoising queries; undefined if the family has none. */
  readonly denoising: DenoisingFamily;
  /** Learning from a teacher; undefined if the family cannot. */
  readonly distillation: DistillationFamily;
  /**
   * The graph of a checkpoint for training, for any size of input.
   *
   * @throws InputError that lists every tensor that is missing or has another shape
   */
  buildGraph(tensors: Checkpoint, options?: TrainingGraphOptions): TrainingGraph;
  /** The segment of the network that a node belongs to, for recomputation in the backward pass. */
  readonly segmentOf: SegmentOf;
  /** The cost of assigning each query to each target, [batch, queries, targets]. */
  matchingCosts(b: GraphBuilder, predictions: Predictions, targets: Targets, weights: LossWeights): Value;
  /**
   * The loss of a head.
   *
   * @param assignment the target of each query, the last one for none, [batch, queries] int64
   * @param counts 1 for queries that count, [batch, queries]; all count by default
   */
  headLoss(b: GraphBuilder, predictions: Predictions, targets: Targets, assignment: Value, counts?: Value): LossParts;
  /** How the optimizer treats the weight `name` with `rank` dimensions. */
  parameterTraits(name: string, rank: number): ParameterTraits;
  /** The name under which the training graph knows a tensor of a checkpoint, which may have a second name there. */
  canonicalName(name: string): string;
  /** The shape of every tensor of a checkpoint, by its name. */
  tensorShapes(): ReadonlyMap<string, readonly number[]>;
  /**
   * Random values to begin a training with, for every tensor of `tensors`, which gives the names and shapes. The same seed
   * gives the same numbers.
   */
  initialWeights(tensors: Checkpoint, seed: number): Promise<Checkpoint>;
}
