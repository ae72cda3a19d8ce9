/** Removes the operators of other domains from the imports of a model. */
import { InputError } from '../../base/errors.ts';
import { isStandardDomain, operatorName } from '../opset.ts';
import type { Model } from '../read.ts';
import { nodesOf } from '../traverse.ts';

/**
 * Removes the imports of domains that no node uses, and names the domain of the ONNX standard in one way.
 *
 * @param model is changed; its functions are inlined
 * @param source names the model in errors
 * @throws InputError if a node uses an operator of another domain
 */
export function dropDomains(model: Model, source: string): void {
  for (const node of nodesOf(model.graph)) {
    if (!isStandardDomain(node.domain))
      throw new InputError(
        `${source}: the node ${node.name || node.output[0]} is ${operatorName(node)}, which is not an operator of the ONNX standard and has no function in the file.`,
      );
    node.domain = '';
  }
  model.opsetImport = model.opsetImport.filter(({ domain }) => isStandardDomain(domain));
}
