/** Attributes of nodes: reading them with a default, and making them from plain values. */

import { create } from '@bufbuild/protobuf';
import { AttributeProtoSchema, AttributeProto_AttributeType as AttributeType } from 'onnx-buf';
import { checkFields } from '../base/check-options.ts';
import { UsageError } from '../base/errors.ts';
import type { AttributeProto, NodeProto, TensorProto } from './types.ts';

/** A value of an attribute: an integer (`bigint` or a whole `number`), `float(x)`, a text, a tensor, or a list of numbers. */
export type AttributeValue = number | bigint | string | Float | TensorProto | readonly number[] | readonly Float[];

/**
 * The value of a float attribute. Plain numbers stand for integers, since most attributes are integers.
 * @example
 * makeAttribute('epsilon', new Float(1)); // a float attribute; a plain 1 gives an integer attribute
 */
export class Float {
  /** The number. */
  readonly value: number;

  constructor(value: number) {
    this.value = value;
  }
}

/**
 * Marks a number as the value of a float attribute.
 * @example
 * const node = makeNode('LeakyRelu', 'head/LeakyRelu', ['x'], ['y'], { alpha: float(0.1) });
 */
export const float = (value: number): Float => new Float(value);

function checkAttribute(name: unknown, value: unknown): void {
  const isItem = (item: unknown) => Number.isSafeInteger(item) || item instanceof Float;
  const isList = Array.isArray(value) && value.every(isItem);
  const isTensor = typeof value === 'object' && value !== null && '$typeName' in value;
  const isOne = ['string', 'bigint'].includes(typeof value) || isItem(value);
  if (typeof name === 'string' && (isOne || isList || isTensor)) return;
  throw new UsageError(
    `The attribute ${String(name)} must have a text as its name, and as its value a text, a whole number, \`float(number)\`, a list of these, or a tensor.`,
  );
}

/**
 * Makes an attribute whose type follows from the value.
 * @example
 * const kernelShape = makeAttribute('kernel_shape', [3, 3]);
 */
export function makeAttribute(name: string, value: AttributeValue): AttributeProto {
  checkAttribute(name, value);
  const attribute = create(AttributeProtoSchema, { name });
  if (value instanceof Float) {
    attribute.type = AttributeType.FLOAT;
    attribute.f = value.value;
  } else if (typeof value === 'string') {
    attribute.type = AttributeType.STRING;
    attribute.s = new TextEncoder().encode(value);
  } else if (typeof value === 'number' || typeof value === 'bigint') {
    attribute.type = AttributeType.INT;
    attribute.i = BigInt(value);
  } else if ('$typeName' in value) {
    attribute.type = AttributeType.TENSOR;
    attribute.t = value;
  } else if (value.some((item) => item instanceof Float)) {
    attribute.type = AttributeType.FLOATS;
    attribute.floats = value.map((item) => (item instanceof Float ? item.value : item));
  } else {
    attribute.type = AttributeType.INTS;
    attribute.ints = value.map((item) => BigInt(Number(item)));
  }
  return attribute;
}

/**
 * Returns the attribute of that name; undefined if the node has none.
 * @example
 * const axis = findAttribute(node, 'axis')?.i;
 */
export function findAttribute(node: NodeProto, name: string): AttributeProto | undefined {
  checkFields('The node must be a node of a graph', node, 'attribute');
  return node.attribute.find((attribute) => attribute.name === name);
}

/** The integer attribute of that name; `otherwise` if the node has none. */
export function integerAttribute(node: NodeProto, name: string): number | undefined;
export function integerAttribute(node: NodeProto, name: string, otherwise: number): number;
export function integerAttribute(node: NodeProto, name: string, otherwise?: number): number | undefined {
  const attribute = findAttribute(node, name);
  return attribute ? Number(attribute.i) : otherwise;
}

/** The attribute of that name as a list of integers; undefined if the node has none. */
export function integersAttribute(node: NodeProto, name: string): number[] | undefined {
  return findAttribute(node, name)?.ints.map(Number);
}

/**
 * Sets an attribute, replacing the one of that name.
 * @example
 * setAttribute(node, 'axis', 1);
 */
export function setAttribute(node: NodeProto, name: string, value: AttributeValue): void {
  checkFields('The node must be a node of a graph', node, 'attribute');
  node.attribute = [...node.attribute.filter((attribute) => attribute.name !== name), makeAttribute(name, value)];
}
