/**
 * AdamW (Loshchilov and Hutter 2017, https://arxiv.org/abs/1711.05101, algorithm 2) with clipping of the norm of the whole
 * gradient and a moving average of the weights. Small ONNX models update the blocks of a `ParameterStore` one slice at a
 * time, so that the memory that they need beside the blocks does not grow with the network.
 */
import { GraphBuilder, type Value } from '../onnx/builder.ts';
import { DataType } from '../onnx/types.ts';
import { modelBytes } from '../onnx/write.ts';
import { Session } from '../runtime/session.ts';
import { floatData, floats, type Tensor } from '../runtime/tensor.ts';
import { BLOCKS, type ParameterStore } from './parameter-store.ts';

/** Settings of the optimizer. */
export interface OptimizerSettings {
  /** The decay of the first moment. */
  readonly beta1: number;
  /** The decay of the second moment. */
  readonly beta2: number;
  /** A number that keeps the divisor of a step from 0. */
  readonly epsilon: number;
  /** The maximum norm of the whole gradient; a larger gradient is scaled down to it. */
  readonly clipNorm: number;
  /**
   * The fraction of the moving average that each step keeps. It is less in the first steps, which have few weights to average.
   * 0 makes the averages the weights themselves.
   */
  readonly averageDecay: number;
}

/** Settings of one step. */
export interface StepSettings {
  /** Counted from 1. */
  readonly step: number;
  /** The learning rate of the schedule; each group multiplies it by its own factor. */
  readonly rate: number;
  /** The norm of the gradients in the store. */
  readonly norm: number;
  /** The factor on the gradient before it is clipped, such as 1 / accumulated batches. */
  readonly factor: number;
  /** The names of groups that are not updated. */
  readonly frozen: readonly string[];
}

/** The number of elements of a slice, which needs 16 MB with all intermediate values. */
const SLICE = 1 << 19;

/** The step at which a moving average keeps half of its old value. */
const AVERAGE_WARM_UP = 10;

/** Updates the weights of a `ParameterStore` by their gradients. */
export class Optimizer implements AsyncDisposable {
  readonly #update: Session;
  readonly #square: Session;
  readonly #add: Session;
  readonly #settings: OptimizerSettings;

  private constructor(update: Session, square: Session, add: Session, settings: OptimizerSettings) {
    this.#update = update;
    this.#square = square;
    this.#add = add;
    this.#settings = settings;
  }

  /**
   * Loads the models of the optimizer.
   * @param threads by default one for each core
   */
  static async create(settings: OptimizerSettings, threads?: number): Promise<Optimizer> {
    const load = (model: Uint8Array, name: string) => Session.create(model, { threads }, name);
    return new Optimizer(
      await load(updateModel(settings), 'the optimizer'),
      await load(squareModel(), 'the norm of the gradient'),
      await load(sumModel(), 'the sum of gradients'),
      settings,
    );
  }

  /** The norm of the whole gradient. It is finite if and only if all elements are. */
  async norm({ gradients }: ParameterStore): Promise<number> {
    let sum = 0;
    for (const [begin, end] of slices(0, gradients.length)) {
      using outputs = await this.#square.run({ x: vector(gradients.subarray(begin, end)) });
      const scalar = (name: string) => floatData(outputs.get(name))[0] ?? Number.NaN;
      sum += scalar('sum') * scalar('largest') ** 2;
    }
    return Math.sqrt(sum);
  }

  /** Adds `addend` to `sum` in place. */
  async accumulate(sum: Float32Array<ArrayBuffer>, addend: Float32Array<ArrayBuffer>): Promise<void> {
    for (const [begin, end] of slices(0, sum.length)) {
      const part = sum.subarray(begin, end);
      using outputs = await this.#add.run({ a: vector(part), b: vector(addend.subarray(begin, end)) });
      part.set(floatData(outputs.get('sum')));
    }
  }

  /** Updates weights, moments and averages of the store by its gradients. */
  async step(store: ParameterStore, { step, rate, norm, factor, frozen }: StepSettings): Promise<void> {
    const { beta1, beta2, clipNorm, averageDecay } = this.#settings;
    const scale = factor * Math.min(1, clipNorm / Math.max(norm * factor, 1e-12));
    for (const group of store.groups.filter(({ name }) => !frozen.includes(name)))
      for (const [begin, end] of slices(group.begin, group.end)) {
        const scalar = (value: number) => floats(Float32Array.of(value), []);
        const feeds: Record<string, Tensor> = {
          gradients: vector(store.gradients.subarray(begin, end)),
          scale: scalar(scale),
          rate: scalar((rate * group.rate) / (1 - beta1 ** step)),
          correction: scalar(1 / Math.sqrt(1 - beta2 ** step)),
          decay: scalar(rate * group.rate * group.weightDecay),
          kept: scalar(Math.min(averageDecay, step / (step + AVERAGE_WARM_UP))),
        };
        for (const name of BLOCKS) feeds[name] = vector(store.blocks[name].subarray(begin, end));
        using outputs = await this.#update.run(feeds);
        for (const name of BLOCKS) store.blocks[name].set(floatData(outputs.get(`new_${name}`)), begin);
      }
  }

  /** Frees the sessions. */
  async [Symbol.asyncDispose](): Promise<void> {
    for (const session of [this.#update, this.#square, this.#add]) await session.close();
  }
}

const vector = (data: Float32Array<ArrayBuffer>) => floats(data, [data.length]);

function* slices(begin: number, end: number): Generator<readonly [number, number]> {
  for (let at = begin; at < end; at += SLICE) yield [at, Math.min(at + SLICE, end)];
}

/** The update w ← w − decay · w − rate · m / (√v · correction + ε), with rate and correction as `step` computes them. */
function updateModel({ beta1, beta2, epsilon }: OptimizerSettings): Uint8Array {
  const b = new GraphBuilder('adamw');
  const block = (name: string) => b.input(name, DataType.FLOAT, ['size']);
  const scalar = (name: string) => b.input(name, DataType.FLOAT, []);
  const [weights, first, second, averages] = BLOCKS.map(block) as [Value, Value, Value, Value];
  const gradient = b.mul(block('gradients'), scalar('scale'));
  const mixed = (old: Value, fresh: Value, fraction: number) => b.add(b.mul(old, fraction), b.mul(fresh, 1 - fraction));
  const newFirst = mixed(first, gradient, beta1);
  const newSecond = mixed(second, b.mul(gradient, gradient), beta2);
  const deviation = b.add(b.mul(b.sqrt(newSecond), scalar('correction')), epsilon);
  const move = b.mul(b.div(newFirst, deviation), scalar('rate'));
  const newWeights = b.sub(b.sub(weights, b.mul(weights, scalar('decay'))), move);
  const kept = scalar('kept');
  const newAverages = b.add(b.mul(averages, kept), b.mul(newWeights, b.sub(1, kept)));
  const results = [newWeights, newFirst, newSecond, newAverages];
  for (const [index, name] of BLOCKS.entries()) b.output(`new_${name}`, results[index] as Value);
  return modelBytes(b.finish());
}

/** The sum Σ (x / largest)² with the largest magnitude, because the squares of large numbers would not be finite. */
function squareModel(): Uint8Array {
  const b = new GraphBuilder('square');
  const x = b.input('x', DataType.FLOAT, ['size']);
  const largest = b.max(b.reduceMax(b.abs(x), [0], false), 1e-30);
  const ratio = b.div(x, largest);
  b.output('sum', b.reduceSum(b.mul(ratio, ratio), [0], false));
  b.output('largest', largest);
  return modelBytes(b.finish());
}

/** The sum of two blocks. */
function sumModel(): Uint8Array {
  const b = new GraphBuilder('sum');
  b.output('sum', b.add(b.input('a', DataType.FLOAT, ['size']), b.input('b', DataType.FLOAT, ['size'])));
  return modelBytes(b.finish());
}
