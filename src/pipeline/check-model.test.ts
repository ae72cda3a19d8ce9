/** A model that its target refuses, or that ONNX Runtime does not load, is not written. */
import { existsSync, mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, describe, expect, test } from 'vitest';
import { writeSmallCheckpoint } from '../models/grounding-dino/testing/small-checkpoint.ts';
import { readPackage } from '../models/package/package.ts';
import { copyModel } from '../onnx/copy.ts';
import { standardVersion } from '../onnx/opset.ts';
import { makeNode } from '../onnx/rewrite.ts';
import { storePlanSummary } from '../quant/plan-summary.ts';
import { checkModel } from './check-model.ts';
import { specializeModel } from './specialize-step.ts';

const folder = mkdtempSync(join(tmpdir(), 'dino8-check-model-'));
afterAll(() => rmSync(folder, { recursive: true }));
const source = await readPackage(await writeSmallCheckpoint(join(folder, 'checkpoint')));
const output = join(folder, 'out.onnx');
const layers = { float: 0, dynamic: 0, static: 0, 'weight-only': 0, activations: {} };

describe('a model is not written', () => {
  test('if TensorRT computes something else: functions and modes of version 21', async () => {
    const model = copyModel(source.model);
    expect(standardVersion(model)).toBe(21);
    storePlanSummary(model, { recipe: 'static', target: 'tensorrt', layers, techniques: [], floatLayers: [] });
    const written = specializeModel({ model: { ...source, model }, output, height: 64, width: 64 });
    await expect(written).rejects.toThrow(/is not written, because TensorRT would refuse or miscompute it in .*https:/);
    expect(existsSync(output)).toBe(false);
  });

  test('if ONNX Runtime does not load it', async () => {
    const model = copyModel(source.model);
    model.graph.node.push(makeNode('Unheard', 'a/b', ['pixel_values'], ['c']));
    model.graph.output = [
      ...model.graph.output,
      { ...(model.graph.output[0] as (typeof model.graph.output)[0]), name: 'c' },
    ];
    await expect(checkModel(model, output)).rejects.toThrow(
      /is not written, because ONNX Runtime does not load it: .*Unheard/,
    );
  });
});
