/**
 * The fake-quantized graph of a training and the exported INT8 model compute the same, on a small detector. Random
 * recipes on a model of a few layers are in quant/plan-training.test.ts.
 */
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { packageRoot } from '../base/package-root.ts';
import { planCalibration } from '../data/calibration-plan.ts';
import { readDataset } from '../data/datasets/read-dataset.ts';
import { sizesOf, trainingOf } from '../models/family.ts';
import { writeSmallCheckpoint } from '../models/grounding-dino/testing/small-checkpoint.ts';
import { tokenTypes } from '../models/grounding-dino/testing/token-types.ts';
import { buildPackage, type CheckpointPackage, type ModelPackage, readCheckpoint } from '../models/package/package.ts';
import { specialize } from '../models/specialize.ts';
import type { Model } from '../onnx/read.ts';
import { replaceUses } from '../onnx/rewrite.ts';
import { DataType } from '../onnx/types.ts';
import { makeValueInfo } from '../onnx/value-info.ts';
import { modelBytes } from '../onnx/write.ts';
import { calibrateDataset } from '../pipeline/calibrate-dataset.ts';
import type { Statistics } from '../quant/observe/calibrate.ts';
import { planQuantization, valuesToObserve } from '../quant/plan.ts';
import { type Recipe, readRecipe } from '../quant/recipe.ts';
import { resolveRanges } from '../quant/resolve-ranges.ts';
import { kernelOptions } from '../runtime/kernels.ts';
import type { Outputs } from '../runtime/outputs.ts';
import { type Feeds, Session } from '../runtime/session.ts';
import { copyTensor, floatData, floats, integers, type Tensor, tensorOf } from '../runtime/tensor.ts';
import { readGolden } from '../testing/golden.ts';
import { exportTrained } from './export-trained.ts';
import { ENABLED, insertFakeQuantization } from './insert-fake-quantization.ts';
import { startScales, type TrainablePlan } from './learned-scales.ts';

/** Results along the way, in order: of the backbones, the encoder, the selection of queries, and the decoder. */
const STAGES = [
  'model.backbone.conv_encoder.model.encoder.layers.0.downsample.reduction/MatMul:',
  'model.text_backbone.encoder.layer.0.output/Add:',
  ...[
    'model.backbone.conv_encoder.model.hidden_states_norms.stage4',
    'model.encoder.layers.0.deformable_layer.final_layer_norm',
    'model.encoder.layers.0.text_enhancer_layer.layer_norm_after',
    'model.enc_output_norm',
    'model.decoder.layers.0.final_layer_norm',
  ].map((path) => `${path}/LayerNormalization:`),
];

const QUERIES = 'frozen_queries';
/** The number of queries of the small checkpoint. */
const COUNT = 20;

/**
 * Which proposals become queries is given, so that a rounding error does not change their order, and the stages become
 * results.
 */
function prepare({ graph }: Model): void {
  const selection = graph.node.find(({ opType }) => opType === 'TopK');
  const indices = selection?.output[1];
  if (!selection || !indices) throw new Error('the graph selects queries');
  graph.node = graph.node.filter((node) => node !== selection);
  graph.input.push(makeValueInfo(QUERIES, DataType.INT64, [1, COUNT]));
  replaceUses(graph, indices, QUERIES);
  for (const value of STAGES) graph.output.push(makeValueInfo(value, DataType.FLOAT, undefined));
}

function required<T>(map: ReadonlyMap<string, T>, key: string): T {
  const found = map.get(key);
  if (found === undefined) throw new Error(`${key} is missing`);
  return found;
}

/** Scales as training might leave them: a little off from where they began. */
const moved = (initial: Tensor): Tensor =>
  floats(
    floatData(initial).map((value, index) => value * (1 + 0.02 * Math.sin(index + value))),
    initial.shape,
  );

/** Runs a model and returns the stages and boxes. */
async function results(model: Model, feeds: Feeds, boxes: string): Promise<Map<string, Float32Array>> {
  await using session = await Session.create(modelBytes(model), kernelOptions({ training: true }));
  using outputs: Outputs = await session.run(feeds);
  return new Map(
    [...STAGES, boxes].map((name) => [name === boxes ? 'boxes' : name, floatData(copyTensor(outputs.get(name)))]),
  );
}

async function trainingGraph(checkpoint: CheckpointPackage, trainable: TrainablePlan, feeds: Feeds) {
  const [, , height = 0, width = 0] = feeds.pixel_values?.shape ?? [];
  const textLength = feeds.input_ids?.shape[1] ?? 0;
  const graph = trainingOf(checkpoint).buildGraph(checkpoint.tensors);
  const special = await specialize(
    graph.model,
    { batch: 1, height, width, textLength, padding: true },
    sizesOf(checkpoint),
  );
  const weights = [...graph.parameters].map(([name, { input, shape }]) => {
    return [input, { ...tensorOf(required(checkpoint.tensors, name)), shape }] as const;
  });
  return { model: insertFakeQuantization(special, trainable, 1).model, weights: Object.fromEntries(weights) };
}

/**
 * How far two values are apart, in steps of 8 bits over the range of the first: the root of the mean square, and the
 * largest difference. A difference in the last bit may round to another step, and the layers after carry it on.
 */
function stepsApart(first: Float32Array, second: Float32Array): { mean: number; largest: number } {
  expect(second).toHaveLength(first.length);
  const differences = first.map((value, index) => Math.abs(value - (second[index] ?? Number.NaN)));
  const highest = first.reduce((maximum, value) => Math.max(maximum, value), Number.NEGATIVE_INFINITY);
  const lowest = first.reduce((minimum, value) => Math.min(minimum, value), Number.POSITIVE_INFINITY);
  const step = (highest - lowest) / 255;
  return {
    mean: Math.sqrt(differences.reduce((sum, value) => sum + value * value, 0) / first.length) / step,
    largest: differences.reduce((maximum, value) => Math.max(maximum, value), 0) / step,
  };
}

let folder: string;
let checkpoint: CheckpointPackage;
let source: ModelPackage;
let recipes: ReadonlyMap<string, Recipe>;
let statistics: Statistics;

// One calibration serves both recipes: it observes the values of either.
beforeAll(async () => {
  folder = await mkdtemp(join(tmpdir(), 'dino8-export-'));
  checkpoint = await readCheckpoint(await writeSmallCheckpoint(join(folder, 'checkpoint')));
  source = await buildPackage(checkpoint);
  const read = async (name: string) => ({ ...(await readRecipe(name)), techniques: [] });
  recipes = new Map([
    ['full', await read('full')],
    ['smallest', await read('smallest')],
  ]);
  const values = [...recipes.values()].flatMap((recipe) => valuesToObserve(source.model, recipe));
  const plan = planCalibration(await readDataset(join(packageRoot, 'assets/shapes/calib')), 2, 0);
  ({ statistics } = await calibrateDataset(source, [...new Set(values)], plan));
});
afterAll(() => rm(folder, { recursive: true }));

/** With sums and products rounded too, some 400 roundings follow one another, each of which may differ. */
test.each([
  ['full', 1.5],
  ['smallest', 1],
] as const)('by the recipe %s', async (name, apart) => {
  const plan = planQuantization(source.model, required(recipes, name));
  const trainable = await startScales(resolveRanges(plan, { statistics }));
  const scales = new Map(trainable.scales.map(({ name: scale, initial }) => [scale, moved(initial)]));

  const golden = await readGolden('nano/single');
  const inputs = ['pixel_values', 'input_ids', 'attention_mask', 'pixel_mask'];
  const feeds: Record<string, Tensor> = Object.fromEntries(
    inputs.map((input) => [input, tensorOf(required(golden, input))]),
  );
  feeds[QUERIES] = integers(
    Array.from({ length: COUNT }, (_, index) => (index * 37) % 900),
    [1, COUNT],
  );
  const training = await trainingGraph(checkpoint, trainable, feeds);
  prepare(training.model);
  const trained = await results(
    training.model,
    { ...feeds, ...training.weights, ...Object.fromEntries(scales), [ENABLED]: floats(Float32Array.of(1), []) },
    `boxes_${trainingOf(checkpoint).heads.length - 2}`, // the last head is the encoder's
  );

  const exported = await exportTrained(source.model, trainable, (scale) => required(scales, scale));
  prepare(exported.model);
  const deployed = await results(
    exported.model,
    { ...feeds, token_type_ids: tokenTypes(feeds.input_ids) },
    'pred_boxes',
  );
  for (const [stage, values] of trained) {
    const { mean, largest } = stepsApart(values, required(deployed, stage));
    // Where few roundings came before, no number is far away: the normalisation enlarges the one step that a sum may differ by.
    if (stage === STAGES[0]) expect(largest, stage).toBeLessThan(2);
    expect(mean, stage).toBeLessThan(apart);
  }
});
