/**
 * The parameters that are trained, one after the other in one block of memory. Gradients, the moments of the optimizer and
 * moving averages are blocks of the same layout. ONNX Runtime reads and writes the blocks in place, without copies.
 */
import { elementCount } from '../onnx/types.ts';
import { floats, type Tensor } from '../runtime/tensor.ts';
import type { ParameterGroup, TrainedParameter } from './parameter.ts';

/** A group with the elements of every block that belong to it. */
export interface GroupRange extends ParameterGroup {
  /** The index of the first element. */
  readonly begin: number;
  /** The index after the last element. */
  readonly end: number;
}

/** The blocks that a training keeps from step to step. */
export const BLOCKS = ['weights', 'firstMoments', 'secondMoments', 'averages'] as const;
/** `weights` are the parameters, `averages` their moving averages, and the moments those of Adam. */
export type BlockName = (typeof BLOCKS)[number];

/**
 * The memory of a training.
 * @example
 * const store = new ParameterStore(
 *   [{ name: 'weight', input: 'weight', gradient: 'weight.gradient', shape: [2, 3], group: 'matrices' }],
 *   [{ name: 'matrices', rate: 1, weightDecay: 1e-4 }],
 * );
 */
export class ParameterStore {
  /** The parameters in the order in which they are stored. */
  readonly parameters: readonly TrainedParameter[];
  /** The groups that have parameters. */
  readonly groups: readonly GroupRange[];
  /** The memory of all parameters, one after the other, for each kind of number. */
  readonly blocks: Readonly<Record<BlockName, Float32Array<ArrayBuffer>>>;
  /** The gradients of the loss, in the same layout. */
  readonly gradients: Float32Array<ArrayBuffer>;
  readonly #places: ReadonlyMap<string, number>;

  /**
   * Lays out parameters by their groups, in the order of `groups`. All blocks are zeros.
   * @throws Error if a parameter is in none of the groups
   */
  constructor(parameters: readonly TrainedParameter[], groups: readonly ParameterGroup[]) {
    const places = new Map<string, number>();
    const ranges: GroupRange[] = [];
    const ordered: TrainedParameter[] = [];
    let size = 0;
    for (const group of groups) {
      const begin = size;
      for (const parameter of parameters.filter((each) => each.group === group.name)) {
        places.set(parameter.name, size);
        ordered.push(parameter);
        size += elementCount(parameter.shape);
      }
      if (size > begin) ranges.push({ ...group, begin, end: size });
    }
    if (ordered.length !== parameters.length) throw new Error('a parameter is in no group');
    this.parameters = ordered;
    this.groups = ranges;
    this.#places = places;
    const block = () => new Float32Array(size);
    this.blocks = { weights: block(), firstMoments: block(), secondMoments: block(), averages: block() };
    this.gradients = block();
  }

  /**
   * Returns the part of a block that belongs to a parameter, as a tensor of its shape. The tensor is a view, not a copy.
   * @throws Error if the store does not have the parameter
   */
  view({ name, shape }: TrainedParameter, block: Float32Array<ArrayBuffer>): Tensor {
    const begin = this.#places.get(name);
    if (begin === undefined) throw new Error(`${name} is not trained`);
    return floats(block.subarray(begin, begin + elementCount(shape)), shape);
  }

  /** Returns the weights as inputs of a model, by the names of the inputs. */
  weightFeeds(): Record<string, Tensor> {
    return Object.fromEntries(this.parameters.map((each) => [each.input, this.view(each, this.blocks.weights)]));
  }

  /** Returns the tensors into which a model is to write the gradients, by the names of its outputs. */
  gradientOutputs(): Record<string, Tensor> {
    return Object.fromEntries(this.parameters.map((each) => [each.gradient, this.view(each, this.gradients)]));
  }

  /** Returns the name of the parameter that has the element at an index of a block. */
  nameAt(place: number): string {
    const found = this.parameters.findLast(({ name }) => (this.#places.get(name) ?? 0) <= place);
    return found?.name ?? '';
  }
}
