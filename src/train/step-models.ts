/**
 * The two models of a training step. The forward one computes what the network finds and what it costs to match it to
 * the targets; the backward one, once that is decided, the loss and the gradients. What the first has computed and the
 * second needs is passed on in memory.
 */
import { differentiate, gradientName } from '../autodiff/differentiate.ts';
import type { LoadedCheckpoint } from '../model/checkpoint/hugging-face.ts';
import { type InputSize, specialize } from '../model/specialize.ts';
import { buildTrainingGraph, type Head, trainedHeads } from '../model/training-graph.ts';
import { GraphBuilder, type Value } from '../onnx/builder.ts';
import type { Model } from '../onnx/read.ts';
import { splitModel } from '../onnx/split.ts';
import { DataType } from '../onnx/types.ts';
import { headLoss, matchingCosts, type Targets, type Weights } from './loss.ts';

export interface StepSize extends InputSize {
  readonly textLength: number;
  /** The largest number of targets of an image. */
  readonly targets: number;
}

/** A weight of the network. */
export interface TrainedParameter {
  /** In the checkpoint. */
  readonly name: string;
  /** The inputs of the models that take it. */
  readonly input: string;
  /** The output of the backward model that holds its gradient. */
  readonly gradient: string;
  readonly shape: readonly number[];
}

export interface StepModels {
  readonly forward: Model;
  readonly backward: Model;
  readonly parameters: readonly TrainedParameter[];
  readonly heads: readonly Head[];
  /** Results of the forward model that the backward one takes. */
  readonly passed: readonly string[];
}

export interface LossSettings {
  readonly matching: Weights;
  readonly loss: Weights;
}

/** What the parts of a head's loss are named among the outputs, and in logs. */
export const lossName = (head: Head, part: keyof Weights): string => `loss.${head.name}.${part}`;
export const costName = (head: Head): string => `costs.${head.name}`;
export const assignmentName = (head: Head): string => `assignment.${head.name}`;
export const LOSS = 'loss';

export async function buildStepModels(
  checkpoint: LoadedCheckpoint,
  size: StepSize,
  settings: LossSettings,
): Promise<StepModels> {
  const heads = trainedHeads(checkpoint.config);
  const graph = buildTrainingGraph(checkpoint);
  const special = await specialize(graph.model, { ...size, padding: true });
  const withLoss = addLoss(special, heads, size, settings);
  const parameters = [...graph.parameters].map(([name, { input, shape }]) => ({
    name,
    input,
    gradient: gradientName(input),
    shape,
  }));
  const derived = differentiate(withLoss, {
    loss: LOSS,
    parameters: parameters.map(({ input }) => input),
    detached: graph.detached,
  });
  const early = heads.flatMap((head) => [head.logits, head.boxes, costName(head)]);
  const { first, second, passed } = splitModel(derived, early);
  return { forward: first, backward: second, parameters, heads, passed };
}

function addLoss(model: Model, heads: readonly Head[], size: StepSize, settings: LossSettings): Model {
  const b = new GraphBuilder(model.graph.name, model);
  const { batch, textLength } = size;
  const rows = size.targets + 1;
  const targets: Targets = {
    boxes: b.input('target_boxes', DataType.FLOAT, [batch, rows, 4]),
    tokens: b.input('target_tokens', DataType.FLOAT, [batch, rows, textLength]),
    tokenMask: b.cast(b.value('attention_mask'), DataType.FLOAT),
    count: b.input('target_count', DataType.FLOAT, []),
  };
  const terms: Value[] = [];
  for (const head of heads)
    b.scope(`loss.${head.name}`, () => {
      const predictions = { logits: b.value(head.logits), boxes: b.value(head.boxes) };
      b.output(costName(head), matchingCosts(b, predictions, targets, settings.matching));
      const queries = predictions.boxes.shape?.[1];
      const assignment = b.input(assignmentName(head), DataType.INT64, [batch, queries]);
      const parts = headLoss(b, predictions, targets, assignment);
      for (const part of ['class', 'box', 'giou'] as const) {
        b.output(lossName(head, part), parts[part]);
        terms.push(b.mul(parts[part], settings.loss[part]));
      }
    });
  b.output(LOSS, b.sum(terms));
  return b.finish();
}
