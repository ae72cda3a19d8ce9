/** Iterates over the parts of a model: nodes with their subgraphs, function bodies, and tensors. */
import type { FunctionProto, GraphProto, ModelProto, NodeProto, TensorProto } from './types.ts';

/** The subgraphs in a node's attributes: the branches of If, and the bodies of Loop and Scan. */
export function subgraphsOf(node: NodeProto): GraphProto[] {
  return node.attribute.flatMap((attribute) => (attribute.g ? [attribute.g, ...attribute.graphs] : attribute.graphs));
}

/** All nodes of a graph or of a function body; each is followed by the nodes of its subgraphs. */
export function* nodesOf(body: GraphProto | FunctionProto): Generator<NodeProto> {
  for (const node of body.node) {
    yield node;
    for (const graph of subgraphsOf(node)) yield* nodesOf(graph);
  }
}

/** All tensors stored in a model: the initializers of all graphs, and the tensors in attributes. */
export function* tensorsOf(model: ModelProto): Generator<TensorProto> {
  if (model.graph) yield* graphTensors(model.graph);
  for (const body of model.functions) for (const node of body.node) yield* nodeTensors(node);
}

function* graphTensors(graph: GraphProto): Generator<TensorProto> {
  yield* graph.initializer;
  for (const node of graph.node) yield* nodeTensors(node);
}

function* nodeTensors(node: NodeProto): Generator<TensorProto> {
  for (const attribute of node.attribute) {
    if (attribute.t) yield attribute.t;
    yield* attribute.tensors;
  }
  for (const graph of subgraphsOf(node)) yield* graphTensors(graph);
}
