/** A test whether a node uses an operator, itself or through the functions that it calls. */
import type { FunctionProto, NodeProto } from './types.ts';

/**
 * Returns a test of nodes that is true if the node is `wanted`, or if it calls a function of the model in whose body a node is
 * that passes the test.
 */
export function reaches(
  functions: readonly FunctionProto[],
  wanted: (node: NodeProto) => boolean,
): (node: NodeProto) => boolean {
  const bodies = new Map(functions.map((body) => [`${body.domain}::${body.name}`, body]));
  const known = new Map<string, boolean>();
  const test = (node: NodeProto): boolean => {
    if (wanted(node)) return true;
    const key = `${node.domain}::${node.opType}`;
    const body = bodies.get(key);
    if (!body) return false;
    const found = known.get(key);
    if (found !== undefined) return found;
    known.set(key, false); // a function that calls itself is not asked again
    const result = body.node.some(test);
    known.set(key, result);
    return result;
  };
  return test;
}
