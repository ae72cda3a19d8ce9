/**
 * Brings the graph of another exporter into the form that dino8 itself writes: stored tensors are initializers, and every
 * node has a unique name that begins with its module path. Recipes, profiles and reports use these names.
 */
import { constantTensor } from '../constant-tensor.ts';
import type { GraphProto, NodeProto } from '../types.ts';

/**
 * Turns the `Constant` nodes of the main graph into initializers.
 *
 * @param graph is changed
 * @returns the number of new initializers
 */
export function storeConstants(graph: GraphProto): number {
  const outputs = new Set(graph.output.map(({ name }) => name));
  const kept: NodeProto[] = [];
  for (const node of graph.node) {
    const [name = ''] = node.output;
    const tensor = node.opType === 'Constant' && !outputs.has(name) ? constantTensor(node, name) : undefined;
    if (tensor) graph.initializer.push(tensor);
    else kept.push(node);
  }
  const stored = graph.node.length - kept.length;
  graph.node = kept;
  return stored;
}

/**
 * Removes initializers from the list of inputs. Files of IR version 3 and older list every weight as an input whose
 * default value is the initializer. Callers do not replace the weights of a trained model, and only constants can be folded.
 *
 * @param graph is changed
 * @returns the number of inputs that were removed
 */
export function fixDefaults(graph: GraphProto): number {
  const stored = new Set(graph.initializer.map(({ name }) => name));
  const before = graph.input.length;
  graph.input = graph.input.filter(({ name }) => !stored.has(name));
  return before - graph.input.length;
}

/**
 * Gives each node of the main graph a unique name of the form `module.path/Operator`. `/backbone/conv1/Conv`, as PyTorch
 * exports it, becomes `backbone.conv1/Conv`. The module path of a node without a name is the name of its first result.
 *
 * @param graph is changed
 */
export function nameNodes(graph: GraphProto): void {
  const used = new Set<string>();
  for (const node of graph.node) {
    const name = uniqueName(pathName(node), used);
    used.add(name);
    node.name = name;
  }
}

function pathName(node: NodeProto): string {
  const given = node.name || (node.output.find(Boolean) ?? '');
  const segments = given.split('/').filter(Boolean);
  if (segments.length > 1 && node.name) return `${segments.slice(0, -1).join('.')}/${segments.at(-1)}`;
  return `${segments.join('.') || 'node'}/${node.opType}`;
}

function uniqueName(name: string, used: ReadonlySet<string>): string {
  let candidate = name;
  for (let count = 2; used.has(candidate); count++) candidate = `${name}_${count}`;
  return candidate;
}
