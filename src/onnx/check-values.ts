/**
 * Each name stands for one value of a graph, as the ONNX standard asks (single static assignment): rewrites and look-ups know a
 * value by its name.
 */
import { InputError } from '../base/errors.ts';
import { keyOfFunction } from './check-calls.ts';
import { subgraphsOf } from './traverse.ts';
import type { GraphProto, ModelProto, NodeProto } from './types.ts';

/**
 * @param source names the model in errors
 * @throws InputError if two inputs, two initializers, two functions or the values that two nodes compute have one name, or if a node
 * computes an input or an initializer
 */
export function checkValues(model: ModelProto, source: string): void {
  const fail = (what: string): never => {
    throw new InputError(`${source}: ${what}; the file is damaged.`);
  };
  const once = (names: readonly string[], what: string): Set<string> => {
    const known = new Set<string>();
    for (const name of names) {
      if (known.has(name) && name !== '') fail(`two ${what} have the name ${name}`);
      known.add(name);
    }
    return known;
  };
  const checkNodes = (nodes: readonly NodeProto[], given: ReadonlySet<string>) => {
    const computed = new Set<string>();
    for (const node of nodes) {
      for (const name of node.output) {
        if (name === '') continue;
        if (computed.has(name)) fail(`two nodes compute the value ${name}`);
        if (given.has(name)) fail(`a node computes the value ${name}, which is an input or an initializer already`);
        computed.add(name);
      }
      for (const graph of subgraphsOf(node)) checkGraph(graph);
    }
  };
  const checkGraph = (graph: GraphProto) => {
    const inputs = once(namesOf(graph.input), 'inputs');
    const initializers = once(namesOf(graph.initializer), 'initializers');
    checkNodes(graph.node, new Set([...inputs, ...initializers]));
  };
  if (model.graph) checkGraph(model.graph);
  once(model.functions.map(keyOfFunction), 'functions');
  for (const body of model.functions) checkNodes(body.node, once(body.input, `inputs of the function ${body.name}`));
}

const namesOf = (items: readonly { readonly name: string }[]): string[] => items.map(({ name }) => name);
