/**
 * Bounds what the functions of a model expand to. Everything that follows calls into their bodies, such as shape inference,
 * counting, inlining and ONNX Runtime, takes time in proportion, and a file from a stranger may double its nodes with each of
 * its functions.
 */
import { InputError } from '../base/errors.ts';
import { isStandardDomain } from './opset.ts';
import { nodesOf } from './traverse.ts';
import type { FunctionProto, ModelProto, NodeProto } from './types.ts';

/** No real model has as many nodes. */
const MOST_NODES = 1 << 18;
/** The deepest nesting of functions that call each other. */
const DEEPEST = 64;

const keyOf = (domain: string, name: string, overload: string) =>
  JSON.stringify([isStandardDomain(domain) ? '' : domain, name, overload]);

/** The key in `functionsByKey` of the function that a node calls. */
export const keyOfCall = ({ domain, opType, overload }: NodeProto): string => keyOf(domain, opType, overload);

/** The key in `functionsByKey` of a function. */
export const keyOfFunction = ({ domain, name, overload }: FunctionProto): string => keyOf(domain, name, overload);

/** The functions of a model, by what names them in calls. */
export function functionsByKey(model: ModelProto): Map<string, FunctionProto> {
  return new Map(model.functions.map((body) => [keyOfFunction(body), body]));
}

/**
 * Counts the nodes of a model with its functions inlined. Each function is counted once, however often it is called.
 *
 * @param source names the model in errors
 * @throws InputError if functions call each other in a circle or too deep, or would make more nodes than any real model has
 */
export function checkCalls(model: ModelProto, source: string): void {
  const fail = (what: string): never => {
    throw new InputError(`${source}: ${what}; the file is damaged.`);
  };
  const functions = functionsByKey(model);
  const sizes = new Map<FunctionProto, number>();
  const open = new Set<FunctionProto>();
  const sizeOf = (nodes: Iterable<NodeProto>): number => {
    let size = 0;
    for (const node of nodes) {
      const body = functions.get(keyOfCall(node));
      size += body ? sizeOfBody(body) : 1;
      if (size > MOST_NODES) fail(`with its functions inlined the model has more than ${MOST_NODES} nodes`);
    }
    return size;
  };
  const sizeOfBody = (body: FunctionProto): number => {
    const known = sizes.get(body);
    if (known !== undefined) return known;
    if (open.has(body)) fail(`the function ${body.name} calls itself`);
    if (open.size >= DEEPEST) fail(`functions call each other more than ${DEEPEST} deep`);
    open.add(body);
    const size = sizeOf(nodesOf(body));
    open.delete(body);
    sizes.set(body, size);
    return size;
  };
  if (model.graph) sizeOf(nodesOf(model.graph));
}
