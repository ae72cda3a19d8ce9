/** The steps of a training. Between any two steps a training can be stopped, and continued from the contents of its store. */
import { InputError } from '../base/errors.ts';
import type { Checkpoint } from '../models/checkpoint/checkpoint.ts';
import type { LossWeights } from '../models/training-family.ts';
import { modulePath } from '../onnx/rewrite.ts';
import { DataType } from '../onnx/types.ts';
import { modelBytes } from '../onnx/write.ts';
import { kernelOptions } from '../runtime/kernels.ts';
import type { Provider, ProviderName } from '../runtime/options.ts';
import type { Outputs } from '../runtime/outputs.ts';
import { returnLargeBlocks } from '../runtime/return-memory.ts';
import { type Feeds, Session } from '../runtime/session.ts';
import { floatData, floats, integers, type Tensor, tensorOf } from '../runtime/tensor.ts';
import type { Batch } from './assemble-batch.ts';
import { ENABLED } from './insert-fake-quantization.ts';
import { matchQueries } from './match-queries.ts';
import { Optimizer, type OptimizerSettings } from './optimizer.ts';
import { type GroupSettings, parameterGroups, SCALES } from './parameter-groups.ts';
import { type BlockName, ParameterStore } from './parameter-store.ts';
import { learningRate, type Schedule } from './schedule.ts';
import type { StepModels } from './step-models.ts';
import { assignmentName, costName, DISTILLATION_LOSS, LOSS, lossName } from './step-names.ts';

/** The settings of the steps. */
export interface TrainerSettings {
  /** Steps of the whole training, on which schedules depend. */
  readonly steps: number;
  /** Batches whose gradients are averaged for one step. */
  readonly accumulate: number;
  /** How the learning rate changes. */
  readonly schedule: Schedule;
  /** Weight decay and learning rates of groups of parameters. */
  readonly groups: GroupSettings;
  /** The settings of AdamW. */
  readonly optimizer: OptimizerSettings;
  /** Steps in float before fake quantization is turned on. */
  readonly warmUp: number;
  /** The step after which quantization scales are not changed any more; undefined if they always are. */
  readonly freezeScales?: number | undefined;
}

/** How the models of a step are run. */
export interface TrainerOptions {
  /** Execution providers in order of preference. By default the CPU. */
  readonly providers?: readonly (ProviderName | Provider)[] | undefined;
  /** By default one thread for each core. */
  readonly threads?: number | undefined;
  /** Give memory back to the system after each half of a step. This is slower, and saves memory where values are large. */
  readonly lowMemory?: boolean | undefined;
}

/** Batches by their number, from 0: see `Batches`. */
export interface BatchSource {
  /** Returns the batch of a number, counted from 0 over the whole training. */
  get(number: number): Promise<Batch>;
}

/** The figures of a finished step. */
export interface StepReport {
  /** Counted from 1. */
  readonly step: number;
  /** The loss that is minimised, mean over the batches of the step. */
  readonly loss: number;
  /** The parts of the loss of labelled boxes, without their weights: means over the heads. */
  readonly parts: Readonly<Record<keyof LossWeights, number>>;
  /** The distance from the teacher, without its weight; undefined without distillation. */
  readonly distillation?: number | undefined;
  /** The learning rate of the step. */
  readonly rate: number;
  /** The norm of the gradient before it was clipped. */
  readonly gradientNorm: number;
}

/**
 * A loss or gradient is not finite. The message names the step and the first place that is known.
 * @example
 * try {
 *   await train({ checkpoint: 'grounding-dino-tiny/', dataset: 'coco/train2017', output: 'tuned/', learningRate: 1 });
 * } catch (error) {
 *   if (error instanceof DivergenceError) console.error('Try a lower learning rate.');
 * }
 */
export class DivergenceError extends InputError {}

/** The network as it was before training, with its weights. */
interface Teacher {
  readonly session: Session;
  readonly weights: Feeds;
}

/** The values of a checkpoint for the weights that are inputs of the models. */
function initialFeeds({ parameters }: StepModels, initial: Checkpoint): Feeds {
  return Object.fromEntries(
    parameters.flatMap(({ name, input, shape }) => {
      const stored = initial.get(name);
      return stored ? [[input, { ...tensorOf(stored), shape }]] : [];
    }),
  );
}

/** The tensors of `from` that are inputs of a session. */
const pick = (session: Session, from: Feeds): Feeds =>
  Object.fromEntries([...session.inputs.keys()].flatMap((name) => (from[name] ? [[name, from[name]]] : [])));

/**
 * Takes the steps of a training.
 * @example
 * await using trainer = await Trainer.create(models, checkpoint.tensors, batches, trainerSettings);
 * for (let step = 1; step <= 100; step++) console.log((await trainer.step(step)).loss);
 */
export class Trainer implements AsyncDisposable {
  /** The weights, moments and averages of now. */
  readonly store: ParameterStore;
  readonly #models: StepModels;
  readonly #batches: BatchSource;
  readonly #settings: TrainerSettings;
  readonly #forward: Session;
  readonly #backward: Session;
  readonly #optimizer: Optimizer;
  readonly #teacher: Teacher | undefined;
  /** The sum of gradients, where a step has several batches. */
  readonly #sum: Float32Array<ArrayBuffer> | undefined;
  #next: { readonly number: number; readonly batch: Promise<Batch> } | undefined;

  private constructor(
    models: StepModels,
    batches: BatchSource,
    settings: TrainerSettings,
    sessions: { forward: Session; backward: Session; optimizer: Optimizer; teacher: Teacher | undefined },
  ) {
    this.#models = models;
    this.#batches = batches;
    this.#settings = settings;
    this.#forward = sessions.forward;
    this.#backward = sessions.backward;
    this.#optimizer = sessions.optimizer;
    this.#teacher = sessions.teacher;
    this.store = new ParameterStore(models.parameters, parameterGroups(settings.groups));
    this.#sum = settings.accumulate > 1 ? new Float32Array(this.store.gradients.length) : undefined;
  }

  /**
   * Loads the models of a step.
   * @param initial the values of all parameters to begin with, scales included
   * @throws RuntimeError if ONNX Runtime cannot load the models
   */
  static async create(
    models: StepModels,
    initial: Checkpoint,
    batches: BatchSource,
    settings: TrainerSettings,
    { providers, threads, lowMemory = false }: TrainerOptions = {},
  ): Promise<Trainer> {
    if (lowMemory) returnLargeBlocks();
    const options = { ...kernelOptions({ training: true }), providers, threads, memoryArena: !lowMemory };
    const forward = await Session.create(modelBytes(models.forward), options, 'the forward half of a training step');
    const backward = await Session.create(modelBytes(models.backward), options, 'the backward half of a training step');
    const optimizer = await Optimizer.create(settings.optimizer, threads);
    const teacher = models.teacher && {
      session: await Session.create(modelBytes(models.teacher), options, 'the teacher'),
      weights: initialFeeds(models, initial),
    };
    const trainer = new Trainer(models, batches, settings, { forward, backward, optimizer, teacher });
    const { store } = trainer;
    for (const parameter of store.parameters) {
      const stored = initial.get(parameter.name);
      if (!stored) throw new Error(`${parameter.name} has no initial value`);
      const values = floatData(tensorOf(stored));
      for (const block of ['weights', 'averages'] as const)
        floatData(store.view(parameter, store.blocks[block])).set(values);
    }
    return trainer;
  }

  /**
   * Takes one step: gradients of its batches, then an update of the store.
   * @param step counted from 1
   * @throws DivergenceError if a loss or gradient is not finite; the weights are then those of the step before
   */
  async step(step: number): Promise<StepReport> {
    const { accumulate, schedule, steps, freezeScales = Number.POSITIVE_INFINITY } = this.#settings;
    const reports: Omit<StepReport, 'step' | 'rate' | 'gradientNorm'>[] = [];
    for (let part = 0; part < accumulate; part++) {
      const batch = await this.#take((step - 1) * accumulate + part);
      reports.push(await this.#differentiate(step, batch));
      if (!this.#sum) continue;
      if (part === 0) this.#sum.fill(0);
      await this.#optimizer.accumulate(this.#sum, this.store.gradients);
    }
    if (this.#sum) this.store.gradients.set(this.#sum);
    const norm = (await this.#optimizer.norm(this.store)) / accumulate;
    if (!Number.isFinite(norm)) throw new DivergenceError(`Step ${step}: ${this.#firstBadGradient()}`);
    const rate = learningRate(schedule, step - 1, steps);
    const frozen = step > freezeScales ? [SCALES] : [];
    await this.#optimizer.step(this.store, { step, rate, norm: norm * accumulate, factor: 1 / accumulate, frozen });
    const mean = (figure: (report: (typeof reports)[number]) => number) =>
      reports.reduce((sum, report) => sum + figure(report), 0) / reports.length;
    return {
      step,
      loss: mean(({ loss }) => loss),
      parts: {
        class: mean(({ parts }) => parts.class),
        box: mean(({ parts }) => parts.box),
        giou: mean(({ parts }) => parts.giou),
      },
      distillation: this.#teacher ? mean(({ distillation = 0 }) => distillation) : undefined,
      rate,
      gradientNorm: norm,
    };
  }

  /** Returns a batch, which was prepared while the one before was computed, and begins to prepare the next. */
  async #take(number: number): Promise<Batch> {
    const ready = this.#next?.number === number ? this.#next.batch : this.#batches.get(number);
    const next = this.#batches.get(number + 1);
    next.catch(() => undefined); // An error is thrown when the batch is taken.
    this.#next = { number: number + 1, batch: next };
    return ready;
  }

  /** Computes the loss of a batch, and writes its gradients into the store. */
  async #differentiate(step: number, batch: Batch) {
    const enabled = floats(Float32Array.of(step > this.#settings.warmUp ? 1 : 0), []);
    const feeds: Record<string, Tensor> = { ...batch.feeds, ...this.store.weightFeeds(), [ENABLED]: enabled };
    using taught = await this.#teacher?.session.run(
      pick(this.#teacher.session, { ...batch.feeds, ...this.#teacher.weights }),
    );
    for (const name of taught?.names ?? []) if (taught) feeds[name] = taught.get(name);
    using found = await this.#forward.run(pick(this.#forward, feeds));
    const into = this.store.gradientOutputs();
    const all = { ...feeds, ...this.#assign(step, found, batch) };
    using results = await this.#backward.run(pick(this.#backward, all), { into, from: found });
    const scalar = (name: string) => floatData(results.get(name))[0] ?? Number.NaN;
    const loss = scalar(LOSS);
    if (!Number.isFinite(loss)) throw new DivergenceError(`Step ${step}: ${this.#firstBadValue(found)}`);
    const { heads } = this.#models;
    const mean = (part: keyof LossWeights) =>
      heads.reduce((sum, head) => sum + scalar(lossName(head, part)), 0) / heads.length;
    return {
      loss,
      parts: { class: mean('class'), box: mean('box'), giou: mean('giou') },
      distillation: this.#teacher ? scalar(DISTILLATION_LOSS) : undefined,
    };
  }

  /** Matches the queries of every head to the targets: the inputs of the backward model that say which query has which. */
  #assign(step: number, found: Outputs, { counts }: Batch): Record<string, Tensor> {
    return Object.fromEntries(
      this.#models.heads.map((head) => {
        const { data, shape } = found.get(costName(head));
        const [images = 0, queries = 0, columns = 0] = shape;
        const size = queries * columns;
        const costs = data as Float32Array; // The output is declared as float.
        if (!costs.every(Number.isFinite)) throw new DivergenceError(`Step ${step}: ${this.#firstBadValue(found)}`);
        const assignments = counts.flatMap((count, image) =>
          matchQueries(costs.subarray(image * size, (image + 1) * size), columns, count, columns - 1),
        );
        return [assignmentName(head), integers(assignments, [images, queries])];
      }),
    );
  }

  /** Names the first place in a failed forward run that is not finite, among the values that the run gives out. */
  #firstBadValue(found: Outputs): string {
    const producer = new Map(
      this.#models.forward.graph.node.flatMap((node) => node.output.map((name) => [name, node])),
    );
    const bad = this.#models.passed.find((name) => {
      const { type, data } = found.get(name);
      return type === DataType.FLOAT && !(data as Float32Array).every(Number.isFinite); // Its type is float.
    });
    const node = bad === undefined ? undefined : producer.get(bad);
    return `a value is not a number, first in ${node ? modulePath(node) || node.name : 'the loss'}.`;
  }

  #firstBadGradient(): string {
    const bad = this.store.gradients.findIndex((value) => !Number.isFinite(value));
    return `the gradient of ${this.store.nameAt(bad)} is not a number.`;
  }

  /**
   * Returns the value of a parameter in a block. The tensor is a view that changes with training.
   * @throws Error if there is no parameter of that name
   */
  value(name: string, block: BlockName): Tensor {
    const parameter = this.store.parameters.find((each) => each.name === name);
    if (!parameter) throw new Error(`${name} is not trained`);
    return this.store.view(parameter, this.store.blocks[block]);
  }

  /** Waits for the batch that is being prepared, and frees the sessions. */
  async [Symbol.asyncDispose](): Promise<void> {
    await this.#next?.batch.catch(() => undefined);
    await this.#forward.close();
    await this.#backward.close();
    await this.#teacher?.session.close();
    await this.#optimizer[Symbol.asyncDispose]();
  }
}
