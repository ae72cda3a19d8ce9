/**
 * Implicit quantization, as TensorRT 8 has it beside Q/DQ pairs: a float model, and a file with the scales of its values. TensorRT
 * chooses by itself what it computes in INT8, and quantizes the weights itself.
 *
 * The file has a line for each value, as `readScalesFromCalibrationCache` of NVIDIA's samples reads it
 * (https://github.com/NVIDIA/TensorRT/blob/release/8.6/samples/common/sampleEngines.cpp): the name, a colon, and the scale as the eight
 * hexadecimal digits of a float. A value without a line stays float.
 */
import { create } from '@bufbuild/protobuf';
import { TensorProtoSchema } from 'onnx-buf';
import { InputError } from '../../../base/errors.ts';
import { indexGraph } from '../../../onnx/graph-index.ts';
import { UniqueNames } from '../../../onnx/lower/unique-names.ts';
import type { Model } from '../../../onnx/read.ts';
import { removeUnused } from '../../../onnx/rewrite.ts';
import { tensorElements } from '../../../onnx/tensor.ts';
import { subgraphsOf } from '../../../onnx/traverse.ts';

/**
 * Makes the float model of a model with Q/DQ pairs on float weights, and the scales of the values that had a pair.
 *
 * @param model is changed: its pairs are gone, and names of values have no colons, which separate name and scale in the file
 * @param source names the model in errors
 * @returns the scales by the names of values, in the order of the graph
 * @throws InputError if the model has branches or loops, or a pair whose scale is computed
 */
export function removePairs(model: Model, source: string): Map<string, number> {
  const { graph } = model;
  const { producer, initializer } = indexGraph(graph);
  const scales = new Map<string, number>();
  const replaced = new Map<string, string>();
  for (const node of graph.node) {
    if (subgraphsOf(node).length > 0)
      throw new InputError(
        `${source}: the node ${node.name} has branches, for which dino8 writes no calibration cache.`,
      );
    const pair = node.opType === 'DequantizeLinear' ? producer.get(node.input[0] ?? '') : undefined;
    if (pair?.opType !== 'QuantizeLinear') continue;
    const [value = '', scale = ''] = pair.input;
    replaced.set(node.output[0] ?? '', value);
    if (initializer.has(value)) continue;
    const stored = initializer.get(scale);
    if (!stored) throw new InputError(`${source}: the node ${pair.name} has a scale that is not stored.`);
    scales.set(value, Number(tensorElements(stored)[0]));
  }
  const names = new UniqueNames();
  const plain = new Map<string, string>();
  const renamed = (name: string): string => {
    if (name === '') return name;
    const known = plain.get(name);
    if (known !== undefined) return known;
    const result = names.take(name.replace(/:+$/, '').replaceAll(':', '_'));
    plain.set(name, result);
    return result;
  };
  // The names of inputs and results are those by which a program knows them.
  for (const { name } of [...graph.input, ...graph.output]) plain.set(name, names.take(name));
  for (const node of graph.node) {
    node.input = node.input.map((name) => renamed(replaced.get(name) ?? name));
    node.output = node.output.map(renamed);
  }
  graph.initializer = graph.initializer.map(({ $typeName: _, ...fields }) =>
    // Copies of a model share their tensors, of which none is changed in place.
    create(TensorProtoSchema, { ...fields, name: renamed(fields.name) }),
  );
  graph.valueInfo = [];
  removeUnused(model);
  return new Map([...scales].map(([name, scale]) => [renamed(name), scale]));
}

/**
 * The content of a calibration cache.
 *
 * @param version of TensorRT with its digits together, such as 8502 for 8.5.2
 */
export function calibrationCache(scales: ReadonlyMap<string, number>, version: string): string {
  const bits = new DataView(new ArrayBuffer(4));
  const lines = [...scales].map(([name, scale]) => {
    bits.setFloat32(0, scale);
    return `${name}: ${bits.getUint32(0).toString(16).padStart(8, '0')}`;
  });
  return [`TRT-${version}-EntropyCalibration2`, ...lines, ''].join('\n');
}
