/** Each value of a graph is computed once, as the ONNX standard asks: rewrites and look-ups know a value by its name. */
import { InputError } from '../base/errors.ts';
import type { ModelProto, NodeProto } from './types.ts';

/**
 * @param source names the model in errors
 * @throws InputError if two nodes of the graph or of a function compute values of one name
 */
export function checkValues(model: ModelProto, source: string): void {
  const check = (nodes: readonly NodeProto[]) => {
    const computed = new Set<string>();
    for (const { output } of nodes)
      for (const name of output) {
        if (name === '') continue;
        if (computed.has(name))
          throw new InputError(`${source}: two nodes compute the value ${name}; the file is damaged.`);
        computed.add(name);
      }
  };
  if (model.graph) check(model.graph.node);
  for (const body of model.functions) check(body.node);
}
