/** The gradients of the whole network are compared with those of PyTorch in test/fixtures/golden/gradients. */
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { expect, test } from 'vitest';
import { packageRoot } from '../base/package-root.ts';
import { readHuggingFace } from '../models/grounding-dino/checkpoint/hugging-face.ts';
import { groundingDinoSizes } from '../models/grounding-dino/sizes.ts';
import { buildTrainingGraph } from '../models/grounding-dino/training/training-graph.ts';
import { specialize } from '../models/specialize.ts';
import { GraphBuilder, type Value } from '../onnx/builder.ts';
import { DataType } from '../onnx/types.ts';
import { modelBytes } from '../onnx/write.ts';
import { kernelLibrary, kernelOptions } from '../runtime/kernels.ts';
import { Session } from '../runtime/session.ts';
import { floatData, type Tensor, tensorOf } from '../runtime/tensor.ts';
import { goldenFolder, readGolden } from '../testing/golden.ts';
import { differentiate } from './differentiate.ts';
import { gradientName } from './differentiation.ts';

/** The names of PyTorch's modules in transformers 5.18, as the checkpoint has them. */
const RENAMED: readonly (readonly [RegExp, string])[] = [
  [/\.model\.swin\./, '.model.'],
  [/\.attention\.q_proj\./, '.attention.self.query.'],
  [/\.attention\.k_proj\./, '.attention.self.key.'],
  [/\.attention\.v_proj\./, '.attention.self.value.'],
  [/\.attention\.o_proj\./, '.attention.output.dense.'],
  [/\.attention\.relative_position_bias\./, '.attention.self.'],
  [/\.mlp\.fc1\./, '.intermediate.dense.'],
  [/\.mlp\.fc2\./, '.output.dense.'],
  [/^model\.decoder\.bbox_embed\./, 'bbox_embed.'],
];
const checkpointName = (name: string) => RENAMED.reduce((text, [from, to]) => text.replace(from, to), name);

const norm2 = (values: Float32Array) => Math.sqrt(values.reduce((sum, value) => sum + value * value, 0));

/** The loss that test/fixtures/golden/gradients/README.md states. */
function addLoss(b: GraphBuilder, layers: number): Value {
  const input = (name: string, shape: number[]) => b.input(name, DataType.FLOAT, shape);
  const total = (value: Value) => b.reduceSum(b.reshape(value, [-1]), [0], false);
  const terms = Array.from({ length: layers }, (_, layer) => [
    b.div(total(b.mul(b.value(`logits_${layer}`), input(`logit_weight_${layer}`, [100, 17]))), 100),
    total(b.mul(b.value(`boxes_${layer}`), input(`box_weight_${layer}`, [100, 4]))),
  ]).flat();
  const valid = b.value('proposal_valid');
  const proposals = b.mul(b.value('proposal_logits'), input('encoder_logit_weight', [1020, 17]));
  terms.push(b.div(total(b.where(valid, proposals, 0)), 1000));
  terms.push(b.div(total(b.where(valid, b.sigmoid(b.value('proposal_box_logits')), 0)), 10));
  return b.sum(terms);
}

const encoderLayer = ({ name }: { name: string }) => /^model\.encoder\.layers\.\d+/.exec(name)?.[0];

const variants = [
  { kernels: false, recompute: undefined },
  ...(kernelLibrary() === undefined
    ? []
    : [
        { kernels: true, recompute: undefined },
        { kernels: true, recompute: encoderLayer },
      ]),
];

test.each(variants)('every parameter has the gradient that PyTorch computes: %o', async ({ kernels, recompute }) => {
  const checkpoint = await readHuggingFace(join(packageRoot, 'assets/nano'));
  const stages = ['proposal_logits', 'proposal_box_logits', 'proposal_valid'];
  const { model, parameters, detached } = buildTrainingGraph(checkpoint, { stages });
  const size = { batch: 1, height: 192, width: 256, textLength: 17, padding: true };
  const b = new GraphBuilder('loss', await specialize(model, size, groundingDinoSizes(checkpoint.config)));
  const loss = addLoss(b, checkpoint.config.decoder_layers);
  const inputs = [...parameters.values()].map(({ input }) => input);
  const derived = differentiate(b.finish(), { loss: loss.name, parameters: inputs, detached, recompute });
  await using session = await Session.create(modelBytes(derived), kernels ? kernelOptions({ training: true }) : {});

  const given = new Map([...(await readGolden('nano/single')), ...(await readGolden('gradients/nano_single'))]);
  const feeds: Record<string, Tensor> = {};
  for (const name of session.inputs.keys()) {
    const stored = given.get(name);
    if (stored) feeds[name] = tensorOf(stored);
  }
  for (const [name, { input, shape }] of parameters) {
    const stored = checkpoint.tensors.get(name);
    if (stored) feeds[input] = { ...tensorOf(stored), shape };
  }
  using outputs = await session.run(feeds);
  const expectedLoss = floatData(tensorOf(given.get('loss') as never))[0] as number;
  expect(Math.abs((floatData(outputs.get(loss.name))[0] as number) / expectedLoss - 1)).toBeLessThan(1e-4);

  const norms: Record<string, number> = JSON.parse(
    readFileSync(join(goldenFolder, 'gradients/nano_single_norms.json'), 'utf8'),
  );
  const largest = Math.max(...Object.values(norms));
  const problems: string[] = [];
  let whole = 0;
  for (const [name, norm] of Object.entries(norms)) {
    const parameter = parameters.get(checkpointName(name));
    if (!parameter) {
      problems.push(`${name} is not a parameter`);
      continue;
    }
    const actual = floatData(outputs.get(gradientName(parameter.input)));
    // Gradients that are zero except for rounding, such as those of key biases before a softmax, have no relative error.
    const size = Math.max(norm, 1e-6 * largest);
    const ours = norm2(actual);
    if (!(Math.abs(ours - norm) <= 1e-3 * size)) problems.push(`${name}: norm ${ours} instead of ${norm}`);
    const stored = given.get(`grad.${name}`);
    if (!stored) continue;
    whole++;
    const expected = floatData(tensorOf(stored));
    const difference = norm2(expected.map((value, index) => value - (actual[index] ?? Number.NaN)));
    if (!(difference <= 1e-3 * size)) problems.push(`${name}: differs by ${difference / size}`);
  }
  expect(problems).toEqual([]);
  expect(whole).toBeGreaterThan(390);
  expect(Object.keys(norms)).toHaveLength(parameters.size);
});
