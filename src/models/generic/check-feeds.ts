/** The inputs that a model declares, and a check that given tensors are such inputs. */
import { InputError, UsageError } from '../../base/errors.ts';
import type { Model } from '../../onnx/read.ts';
import { DataType, type Shape, type TensorInfo } from '../../onnx/types.ts';
import { valueInfoToTensorInfo } from '../../onnx/value-info.ts';
import type { Feeds } from '../../runtime/session.ts';
import type { Tensor } from '../../runtime/tensor.ts';

/**
 * The inputs of a model by name, those with a default value left out.
 *
 * @throws InputError if an input is no tensor, such as a sequence
 */
export function modelInputs({ graph }: Model): Map<string, TensorInfo> {
  const stored = new Set(graph.initializer.map(({ name }) => name));
  const inputs = new Map<string, TensorInfo>();
  for (const input of graph.input) {
    if (stored.has(input.name)) continue;
    const info = valueInfoToTensorInfo(input);
    if (!info) throw new InputError(`The input ${input.name} of the model is no tensor, which is not supported.`);
    inputs.set(input.name, info);
  }
  return inputs;
}

/** A shape as a person reads it: [batch, 3, ?, ?]. */
export function describeShape(shape: Shape | undefined): string {
  return shape ? `[${shape.map((dimension) => dimension ?? '?').join(', ')}]` : '[any shape]';
}

/** The model's inputs in one phrase: `x FLOAT[batch, 3, 48, ?]`. */
function describeInputs(inputs: ReadonlyMap<string, TensorInfo>): string {
  return [...inputs].map(([name, { type, shape }]) => `${name} ${DataType[type]}${describeShape(shape)}`).join(', ');
}

/**
 * Checks that `tensors` are exactly the inputs of a model: none missing, none unknown, of the declared types and shapes, and
 * with equal sizes where the model names a dimension twice.
 *
 * @param source names where the tensors came from, in errors
 * @throws InputError that says what differs, and what the model takes
 */
export function checkFeeds(
  tensors: ReadonlyMap<string, Tensor>,
  inputs: ReadonlyMap<string, TensorInfo>,
  source: string,
): Feeds {
  for (const name of tensors.keys())
    if (!inputs.has(name))
      throw new InputError(
        `${source} has the array ${name}, which is no input of the model; it takes ${describeInputs(inputs)}.`,
      );
  const sizes = new Map<string, number>();
  for (const [name, info] of inputs) {
    const found = tensors.get(name);
    if (!found) throw new InputError(`${source} lacks the input ${name}; the model takes ${describeInputs(inputs)}.`);
    checkTensor(name, found, info, sizes, source);
  }
  return Object.fromEntries(tensors);
}

function checkTensor(
  name: string,
  { type, shape }: Tensor,
  info: TensorInfo,
  sizes: Map<string, number>,
  source: string,
): void {
  if (type !== info.type)
    throw new InputError(
      `${source} gives the input ${name} as ${DataType[type]}, but the model takes ${DataType[info.type]}; convert the array before it is saved.`,
    );
  const fits =
    info.shape === undefined ||
    (shape.length === info.shape.length &&
      info.shape.every((expected, axis) => typeof expected !== 'number' || expected === shape[axis]));
  if (!fits)
    throw new InputError(
      `${source} gives the input ${name} with the shape [${shape.join(', ')}], but the model takes ${describeShape(info.shape)}.`,
    );
  for (const [axis, dimension] of (info.shape ?? []).entries()) {
    if (typeof dimension !== 'string') continue;
    const size = shape[axis] ?? 0;
    const known = sizes.get(dimension);
    if (known !== undefined && known !== size)
      throw new InputError(
        `${source} gives the dimension ${dimension} as ${known} in one input and as ${size} in ${name}; they must be equal.`,
      );
    sizes.set(dimension, size);
  }
}

/**
 * The only input of a model, or the one called `name`.
 *
 * @throws UsageError if there is no such input, or there are several and none is named
 */
export function chooseInput(inputs: ReadonlyMap<string, TensorInfo>, name?: string): readonly [string, TensorInfo] {
  if (name !== undefined) {
    const info = inputs.get(name);
    if (!info) throw new UsageError(`The model has no input ${name}; it takes ${describeInputs(inputs)}.`);
    return [name, info];
  }
  const [only, ...others] = inputs;
  if (!only) throw new UsageError('The model has no inputs.');
  if (others.length > 0)
    throw new UsageError(`The model has several inputs (${describeInputs(inputs)}); state which one is meant.`);
  return only;
}
