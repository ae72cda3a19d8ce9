/** Checks by TensorRT's rules whether its explicit quantization takes and fuses a model. The model is not run. */
import { type GraphIndex, indexGraph } from '../../../onnx/graph-index.ts';
import { reaches } from '../../../onnx/reaches.ts';
import type { Model } from '../../../onnx/read.ts';
import { tensorElements } from '../../../onnx/tensor.ts';
import { DataType, type NodeProto, type TensorProto } from '../../../onnx/types.ts';
import type { LintReport } from '../target.ts';

/** A node that breaks a rule. */
export interface Violation {
  readonly node: string;
  readonly problem: string;
}

/** Operators that TensorRT's parser does not have, or that quantize in a way it does not. */
const UNKNOWN = new Set(['DynamicQuantizeLinear', 'MatMulInteger', 'ConvInteger', 'QLinearMatMul', 'QLinearConv']);
/**
 * Operators that TensorRT computes in integers if there are pairs before them: those that NVIDIA's Model Optimizer quantizes
 * (https://github.com/NVIDIA/Model-Optimizer, modelopt/onnx/quantization/int8.py).
 */
const FUSING = new Set([
  'Add',
  'AveragePool',
  'BatchNormalization',
  'Clip',
  'Conv',
  'ConvTranspose',
  'Gemm',
  'GlobalAveragePool',
  'MatMul',
  'MaxPool',
  'Mul',
]);

/** The violations of a model as a report. */
export async function lintRules(model: Model): Promise<LintReport> {
  const violations = lintForTensorRt(model);
  const pairs = model.graph.node.filter(({ opType }) => opType === 'QuantizeLinear').length;
  const operators = new Map(model.graph.node.map(({ name, opType }) => [name, opType]));
  return {
    findings: violations.map(({ node, problem }) => ({
      node,
      operator: operators.get(node) ?? '',
      problem,
      isDefect: true,
    })),
    summary: `${pairs} activations are quantized; ${violations.length} places break TensorRT's rules.`,
    advice: 'quantize the model for the target tensorrt',
  };
}

/** All nodes that TensorRT would refuse, or would compute in float in spite of their pairs; empty for a sound placement. */
export function lintForTensorRt(model: Model): Violation[] {
  const index = indexGraph(model.graph);
  const isForeign = reaches(model.functions, ({ domain, opType }) => domain === 'com.microsoft' || UNKNOWN.has(opType));
  return model.graph.node.flatMap((node) =>
    problemsOf(node, index, isForeign).map((problem): Violation => ({ node: node.name, problem })),
  );
}

function problemsOf(node: NodeProto, index: GraphIndex, isForeign: (node: NodeProto) => boolean): string[] {
  if (isForeign(node)) return [`${node.opType} is not an operator of TensorRT`];
  switch (node.opType) {
    case 'QuantizeLinear':
    case 'DequantizeLinear':
      return [
        ...scaleProblems(node, index),
        ...(node.opType === 'DequantizeLinear' ? fusionProblems(node, index) : []),
      ];
    case 'MatMul':
    case 'Gemm':
    case 'Conv':
      return productProblems(node, index);
    default:
      return [];
  }
}

function scaleProblems(
  { input: [x = '', scale = '', zero = ''] }: NodeProto,
  { initializer, producer }: GraphIndex,
): string[] {
  const problems: string[] = [];
  const zeroPoint = initializer.get(zero);
  if (zeroPoint?.dataType !== DataType.INT8) problems.push('its integers are not int8');
  else if (![...tensorElements(zeroPoint)].every((value) => Number(value) === 0))
    problems.push('its zero point is not 0');
  const isPerChannel = isWeight(x, initializer, producer);
  const rank = initializer.get(scale)?.dims.length;
  if (rank === undefined) problems.push('its scale is not a constant');
  else if (rank > 0 && !isPerChannel) problems.push('an activation has a scale for each channel');
  return problems;
}

const isWeight = (x: string, initializer: ReadonlyMap<string, TensorProto>, producer: ReadonlyMap<string, NodeProto>) =>
  initializer.has(x) || (producer.get(x)?.input.every((name) => initializer.has(name)) ?? false);

function fusionProblems({ output: [result = ''] }: NodeProto, { consumers, outputs }: GraphIndex): string[] {
  const users = consumers.get(result) ?? [];
  const strange = users.find(({ opType }) => !FUSING.has(opType));
  if (outputs.has(result)) return ['it gives a result of the model'];
  return strange ? [`it does not fuse with ${strange.opType} behind it`] : [];
}

function productProblems(node: NodeProto, { producer, initializer, consumers }: GraphIndex): string[] {
  const isPair = (name = '') => producer.get(name)?.opType === 'DequantizeLinear';
  const [a, b, bias] = node.input;
  const problems: string[] = [];
  if (isPair(a) !== isPair(b)) problems.push('only one of its two inputs is quantized');
  if (isPair(bias)) problems.push('its bias is quantized');
  const [result = ''] = node.output;
  const isRequantized = (consumers.get(result) ?? []).some(({ opType }) => opType === 'QuantizeLinear');
  if (isPair(a) && isRequantized && !initializer.has(result))
    problems.push('its result is quantized before its bias is added');
  return problems;
}
