/**
 * The two models of a training step. The forward one computes what the network finds and what it costs to match it to
 * the targets; the backward one, once that is decided, the loss and the gradients. What the first has computed and the
 * second needs is passed on in memory.
 */
import { differentiate } from '../autodiff/differentiate.ts';
import { gradientName } from '../autodiff/differentiation.ts';
import type { Preprocessing } from '../data/preprocessing.ts';
import { sizesOf, trainingOf } from '../models/family.ts';
import type { CheckpointPackage } from '../models/package/package.ts';
import { type InputSize, specialize } from '../models/specialize.ts';
import type { Head, LossParts, LossWeights, Targets, TrainingFamily } from '../models/training-family.ts';
import { GraphBuilder, type Value } from '../onnx/builder.ts';
import type { Model } from '../onnx/read.ts';
import { splitModel } from '../onnx/split.ts';
import { DataType } from '../onnx/types.ts';
import { FAKE_QUANTIZE_RULES } from './fake-quantize.ts';
import type { TrainedParameter } from './parameter.ts';
import { insertFakeQuantization, type TrainablePlan } from './quantize-training.ts';

export interface StepSize extends InputSize {
  readonly textLength: number;
  /** The largest number of targets of an image. */
  readonly targets: number;
  /** Groups of denoising queries. */
  readonly groups: number;
}

export interface StepModels {
  readonly forward: Model;
  readonly backward: Model;
  readonly parameters: readonly TrainedParameter[];
  readonly heads: readonly Head[];
  /** Results of the forward model that the backward one takes. */
  readonly passed: readonly string[];
  /** The network as it was, which the student learns from; undefined if it does not. */
  readonly teacher: Model | undefined;
  /** The training capability of the family that the models are of. */
  readonly family: TrainingFamily;
}

export interface LossSettings {
  /** Compute each layer of the encoder again in the backward pass, in place of keeping what is in it. */
  readonly recompute: boolean;
  /** The weight of what labels say, and of what the network as it was says. */
  readonly labels: number;
  readonly distillation: number;
  readonly matching: LossWeights;
  readonly loss: LossWeights;
}

/** What the parts of a head's loss are named among the outputs, and in logs. */
export const lossName = (head: Head, part: keyof LossWeights): string => `loss.${head.name}.${part}`;
export const costName = (head: Head): string => `costs.${head.name}`;
export const assignmentName = (head: Head): string => `assignment.${head.name}`;
/** What is known of denoising queries beforehand. */
export const DENOISING_INPUTS = { assignment: 'assignment.denoising', counts: 'denoising_counts' } as const;
export const LOSS = 'loss';
export const DISTILLATION_LOSS = 'loss.distillation';

/** `trainable`: what is quantized while it is trained, and its first scales. */
export async function buildStepModels(
  checkpoint: CheckpointPackage,
  size: StepSize,
  settings: LossSettings,
  trainable?: TrainablePlan,
): Promise<StepModels> {
  const family = trainingOf(checkpoint);
  const { heads } = family;
  const distillation = settings.distillation > 0 ? family.distillation : undefined;
  const graph = family.buildGraph(checkpoint.tensors, {
    stages: distillation?.stages ?? [],
    extra: 2 * size.groups * size.targets,
    source: checkpoint.source,
  });
  const special = await specialize(graph.model, { ...size, padding: true }, sizesOf(checkpoint));
  const prepared = takeImages(special, size, checkpoint.preprocessing, family.inputs);
  const teacher = distillation?.teacherModel(prepared);
  const student = distillation?.freezeQueries(prepared) ?? prepared;
  const quantized = trainable && insertFakeQuantization(student, trainable, size.batch);
  const denoised = size.groups > 0 ? family.denoisingHeads : [];
  const withLoss = addLoss(quantized?.model ?? student, { family, heads, denoised }, size, settings);
  const weights = [...graph.parameters].map(([name, parameter]) => ({ name, ...parameter }));
  const scales = (trainable?.scales ?? []).map(({ name, initial }) => ({ name, input: name, shape: initial.shape }));
  const parameters = [...weights, ...scales].map((each) => ({ ...each, gradient: gradientName(each.input) }));
  const derived = differentiate(withLoss, {
    loss: LOSS,
    parameters: parameters.map(({ input }) => input),
    detached: [...graph.detached, ...(quantized?.detached ?? [])],
    rules: FAKE_QUANTIZE_RULES,
    recompute: settings.recompute ? family.segmentOf : undefined,
  });
  const early = heads.flatMap((head) => [head.logits, head.boxes, costName(head)]);
  const { first, second, passed } = splitModel(derived, early);
  return { forward: first, backward: second, parameters, heads, passed, teacher, family };
}

/** In place of normalised pixels and their mask: images as bytes, in the upper left corner of a canvas, and their sizes. */
function takeImages(
  model: Model,
  { batch, height, width }: StepSize,
  preprocessing: Preprocessing,
  { pixels, pixelMask }: TrainingFamily['inputs'],
): Model {
  const taken = new Set([pixels, pixelMask]);
  model.graph.input = model.graph.input.filter(({ name }) => !taken.has(name));
  const b = new GraphBuilder(model.graph.name);
  b.scope('images', () => {
    const images = b.input('images', DataType.UINT8, [batch, height, width, 3]);
    const sizes = b.input('image_sizes', DataType.INT64, [batch, 2]);
    const within = (axis: 0 | 1, extent: number) => {
      const places = b.constant(
        BigInt64Array.from({ length: extent }, (_, place) => BigInt(place)),
        [extent],
      );
      return b.less(places, b.slice(sizes, [axis], [axis + 1], [1])); // [batch, extent]
    };
    const valid = b.and(b.unsqueeze(within(0, height), [2]), b.unsqueeze(within(1, width), [1]));
    const perChannel = (values: readonly number[]) => b.constant(Float32Array.from(values), [3]);
    const scaled = b.mul(b.cast(images, DataType.FLOAT), preprocessing.rescale_factor);
    const normalised = b.div(b.sub(scaled, perChannel(preprocessing.image_mean)), perChannel(preprocessing.image_std));
    const shown = b.where(b.unsqueeze(valid, [3]), normalised, 0);
    b.named(pixels, b.transpose(shown, [0, 3, 1, 2]));
    b.named(pixelMask, b.cast(valid, DataType.INT64));
  });
  return prepend(b.finish(), model);
}

/** The nodes and inputs of `first` before those of `model`. */
function prepend(first: Model, model: Model): Model {
  const { graph } = model;
  const renamed = new Map(first.graph.initializer.map(({ name }) => [name, `images.${name}`]));
  for (const node of first.graph.node) node.input = node.input.map((name) => renamed.get(name) ?? name);
  for (const tensor of first.graph.initializer) tensor.name = renamed.get(tensor.name) ?? tensor.name;
  graph.node = [...first.graph.node, ...graph.node];
  graph.initializer = [...first.graph.initializer, ...graph.initializer];
  graph.input = [...first.graph.input, ...graph.input];
  return model;
}

function addLoss(
  model: Model,
  { family, heads, denoised }: { family: TrainingFamily; heads: readonly Head[]; denoised: readonly Head[] },
  size: StepSize,
  settings: LossSettings,
): Model {
  const b = new GraphBuilder(model.graph.name, model);
  const { batch, textLength } = size;
  const rows = size.targets + 1;
  const targets: Targets = {
    boxes: b.input('target_boxes', DataType.FLOAT, [batch, rows, 4]),
    tokens: b.input('target_tokens', DataType.FLOAT, [batch, rows, textLength]),
    tokenMask: b.cast(b.value(family.inputs.tokenMask), DataType.FLOAT),
    count: b.input('target_count', DataType.FLOAT, []),
  };
  const terms: Value[] = [];
  const add = (head: Head, parts: LossParts) => {
    for (const part of ['class', 'box', 'giou'] as const) {
      b.output(lossName(head, part), parts[part]);
      terms.push(b.mul(parts[part], settings.labels * settings.loss[part]));
    }
  };
  for (const head of heads)
    b.scope(`loss.${head.name}`, () => {
      const predictions = { logits: b.value(head.logits), boxes: b.value(head.boxes) };
      b.output(costName(head), family.matchingCosts(b, predictions, targets, settings.matching));
      const queries = predictions.boxes.shape?.[1];
      const assignment = b.input(assignmentName(head), DataType.INT64, [batch, queries]);
      const parts = family.headLoss(b, predictions, targets, assignment);
      add(head, parts);
    });
  if (denoised.length > 0) {
    const extra = 2 * size.groups * size.targets;
    const assignment = b.input(DENOISING_INPUTS.assignment, DataType.INT64, [batch, extra]);
    const counts = b.input(DENOISING_INPUTS.counts, DataType.FLOAT, [batch, extra]);
    // Every target is there once in each group.
    const repeated = { ...targets, count: b.mul(targets.count, size.groups) };
    for (const head of denoised)
      b.scope(`loss.${head.name}`, () => {
        const predictions = { logits: b.value(head.logits), boxes: b.value(head.boxes) };
        add(head, family.headLoss(b, predictions, repeated, assignment, counts));
      });
  }
  if (settings.distillation > 0) {
    const apart = b.scope('loss.distillation', () => family.distillation.loss(b, targets, settings.loss));
    b.output(DISTILLATION_LOSS, apart);
    terms.push(b.mul(apart, settings.distillation));
  }
  b.output(LOSS, b.sum(terms));
  return b.finish();
}
