/** Checks the inputs of a run against those that a model takes. */
import { DataType, type TensorInfo } from '../onnx/types.ts';
import { RuntimeError } from './error.ts';
import { describeTensor, type Tensor } from './tensor.ts';

/**
 * Returns the inputs of a run in the order of the model's.
 * @param model the name of the model in errors
 * @param isTaken whether an input that `feeds` lacks comes from elsewhere; none does by default
 * @throws RuntimeError for a missing or unknown input, or a wrong type or shape
 */
export function checkFeeds(
  model: string,
  inputs: ReadonlyMap<string, TensorInfo>,
  feeds: Readonly<Record<string, Tensor>>,
  isTaken: (name: string) => boolean = () => false,
): [string, Tensor][] {
  const unknown = Object.keys(feeds).find((key) => !inputs.has(key));
  if (unknown !== undefined)
    throw new RuntimeError(`${model} has no input ${unknown}; its inputs are ${[...inputs.keys()].join(', ')}.`);
  return [...inputs].flatMap(([key, info]): [string, Tensor][] => {
    const value = feeds[key];
    if (!value && isTaken(key)) return [];
    if (!value) throw new RuntimeError(`${model} needs the input ${key}, which was not given.`);
    const fits =
      value.type === info.type &&
      (!info.shape ||
        (info.shape.length === value.shape.length &&
          info.shape.every((dimension, axis) => typeof dimension !== 'number' || dimension === value.shape[axis])));
    if (!fits)
      throw new RuntimeError(
        `${model} takes ${key} as ${DataType[info.type]}[${info.shape?.map((dimension) => dimension ?? '?').join(', ') ?? '…'}] and was given ${describeTensor(value)}.`,
      );
    return [[key, value]];
  });
}
