/**
 * The weights that are trained, one after the other in one block of memory, with their gradients and the optimizer's
 * moments in blocks of the same layout. ONNX Runtime reads and writes the blocks where they are.
 */
import type { Tensor } from '../runtime/tensor.ts';
import { floats } from '../runtime/tensor.ts';
import type { ParameterGroup, TrainedParameter } from './parameter.ts';

/** A stretch of the block. */
export interface GroupRange extends ParameterGroup {
  readonly begin: number;
  readonly end: number;
}

/** The blocks that training keeps from step to step. */
export const BLOCKS = ['weights', 'firstMoments', 'secondMoments', 'averages'] as const;
export type BlockName = (typeof BLOCKS)[number];

export class ParameterStore {
  readonly parameters: readonly TrainedParameter[];
  readonly groups: readonly GroupRange[];
  readonly blocks: Readonly<Record<BlockName, Float32Array<ArrayBuffer>>>;
  readonly gradients: Float32Array<ArrayBuffer>;
  readonly #places: ReadonlyMap<string, number>;

  /** `groupOf` names the group of each parameter; the groups lie in the order of `groups`. */
  constructor(
    parameters: readonly TrainedParameter[],
    groups: readonly ParameterGroup[],
    groupOf: (parameter: TrainedParameter) => string,
  ) {
    const places = new Map<string, number>();
    const ranges: GroupRange[] = [];
    const ordered: TrainedParameter[] = [];
    let size = 0;
    for (const group of groups) {
      const begin = size;
      for (const parameter of parameters.filter((each) => groupOf(each) === group.name)) {
        places.set(parameter.name, size);
        ordered.push(parameter);
        size += sizeOfShape(parameter.shape);
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

  /** The part of a block that belongs to a parameter, as a tensor over it. */
  view({ name, shape }: TrainedParameter, block: Float32Array<ArrayBuffer>): Tensor {
    const begin = this.#places.get(name);
    if (begin === undefined) throw new Error(`${name} is not trained`);
    return floats(block.subarray(begin, begin + sizeOfShape(shape)), shape);
  }

  /** The weights as inputs of a model. */
  weightFeeds(): Record<string, Tensor> {
    return Object.fromEntries(this.parameters.map((each) => [each.input, this.view(each, this.blocks.weights)]));
  }

  /** Where a model is to write the gradients. */
  gradientOutputs(): Record<string, Tensor> {
    return Object.fromEntries(this.parameters.map((each) => [each.gradient, this.view(each, this.gradients)]));
  }

  /** The name of the parameter at a place of a block. */
  nameAt(place: number): string {
    const found = this.parameters.findLast(({ name }) => (this.#places.get(name) ?? 0) <= place);
    return found?.name ?? '';
  }
}

const sizeOfShape = (shape: readonly number[]) => shape.reduce((product, extent) => product * extent, 1);
