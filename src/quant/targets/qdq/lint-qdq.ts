/** Checks that a quantized model has only operators of the ONNX standard and functions that the file itself defines. */

import { reaches } from '../../../onnx/reaches.ts';
import type { Model } from '../../../onnx/read.ts';
import type { LintReport } from '../target.ts';

/** Operators of the standard that quantize in another way than by pairs. */
const OTHER_FORMS = new Set(['DynamicQuantizeLinear', 'MatMulInteger', 'ConvInteger', 'QLinearMatMul', 'QLinearConv']);

/** The nodes that runtimes with knowledge of pairs only do not compute in integers. */
export function lintPairs({ graph, functions }: Model): LintReport {
  const defined = new Set(functions.map(({ domain, name }) => `${domain}::${name}`));
  const quantizesOtherwise = reaches(functions, ({ opType, domain }) => domain === '' && OTHER_FORMS.has(opType));
  const findings = graph.node.flatMap((node) => {
    const { name, opType, domain } = node;
    const isUnknown = domain !== '' && !defined.has(`${domain}::${opType}`);
    const problem = isUnknown
      ? `the domain ${domain} is not part of the ONNX standard`
      : quantizesOtherwise(node)
        ? 'it quantizes in another way than by pairs'
        : undefined;
    return problem === undefined ? [] : [{ node: name, operator: opType, problem, isDefect: true }];
  });
  const pairs = graph.node.filter(({ opType }) => opType === 'QuantizeLinear').length;
  return {
    findings,
    summary: `${pairs} activations are quantized by pairs; ${findings.length} nodes have another form.`,
    advice: 'quantize the model for the target qdq',
  };
}
