/** One training: takes a step at a time, and can be stopped and continued between any two. */
import { InputError } from '../base/errors.ts';
import type { Checkpoint } from '../models/checkpoint/checkpoint.ts';
import { modulePath } from '../onnx/rewrite.ts';
import { bytesOf } from '../onnx/tensor.ts';
import { DataType } from '../onnx/types.ts';
import { modelBytes } from '../onnx/write.ts';
import { kernelOptions } from '../runtime/kernels.ts';
import type { Provider, ProviderName } from '../runtime/options.ts';
import { returnLargeBlocks } from '../runtime/return-memory.ts';
import { type Feeds, type Outputs, Session } from '../runtime/session.ts';
import { floatData, floats, integers, type Tensor, tensorOf } from '../runtime/tensor.ts';
import type { Batch, Batches } from './batches.ts';
import { matchQueries } from './match-queries.ts';
import { Optimizer, type OptimizerSettings } from './optimizer.ts';
import { type GroupSettings, groupOf, parameterGroups, SCALES } from './parameter-groups.ts';
import { type BlockName, ParameterStore } from './parameter-store.ts';
import { ENABLED } from './quantize-training.ts';
import { learningRate, type Schedule } from './schedule.ts';
import { assignmentName, costName, DISTILLATION_LOSS, LOSS, lossName, type StepModels } from './step-models.ts';

export interface TrainerSettings {
  /** Steps of the whole training. */
  readonly steps: number;
  /** Batches whose gradients are added up for a step. */
  readonly accumulate: number;
  readonly schedule: Schedule;
  readonly groups: GroupSettings;
  readonly optimizer: OptimizerSettings;
  /** Steps in float before fake quantization is turned on. */
  readonly warmUp: number;
  /** The step after which quantization scales are not changed any more; undefined if they always are. */
  readonly freezeScales?: number | undefined;
}

export interface TrainerOptions {
  readonly providers?: readonly (ProviderName | Provider)[] | undefined;
  readonly threads?: number | undefined;
  /** Give memory back after each half of a step: slower, and much less of it where values are large. */
  readonly lean?: boolean | undefined;
}

export interface StepReport {
  /** Counted from 1. */
  readonly step: number;
  readonly loss: number;
  /** Means over the heads. */
  readonly parts: Readonly<Record<'class' | 'box' | 'giou', number>>;
  /** The distance from the teacher, if there is one. */
  readonly distillation?: number | undefined;
  readonly rate: number;
  readonly gradientNorm: number;
}

/** A loss or gradient that is not a number; the message says where it came from. */
export class DivergenceError extends InputError {}

/** The network as it was, with its weights. */
interface Teacher {
  readonly session: Session;
  readonly weights: Feeds;
}

function initialFeeds({ parameters }: StepModels, initial: Checkpoint): Feeds {
  return Object.fromEntries(
    parameters.flatMap(({ name, input, shape }) => {
      const stored = initial.get(name);
      return stored ? [[input, { ...tensorOf(stored), shape }]] : [];
    }),
  );
}

/** Those of `from` that a session takes. */
const pick = (session: Session, from: Feeds): Feeds =>
  Object.fromEntries([...session.inputs.keys()].flatMap((name) => (from[name] ? [[name, from[name]]] : [])));

export class Trainer implements AsyncDisposable {
  readonly store: ParameterStore;
  readonly #models: StepModels;
  readonly #batches: Batches;
  readonly #settings: TrainerSettings;
  readonly #forward: Session;
  readonly #backward: Session;
  readonly #optimizer: Optimizer;
  readonly #teacher: Teacher | undefined;
  /** The sum of gradients, where several batches make a step. */
  readonly #sum: Float32Array<ArrayBuffer> | undefined;
  #next: { readonly number: number; readonly batch: Promise<Batch> } | undefined;

  private constructor(
    models: StepModels,
    batches: Batches,
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
    this.store = new ParameterStore(models.parameters, parameterGroups(settings.groups), (parameter) =>
      groupOf(parameter, models.family.parameterTraits),
    );
    this.#sum = settings.accumulate > 1 ? new Float32Array(this.store.gradients.length) : undefined;
  }

  /** A training that begins with the weights of `initial`. */
  static async create(
    models: StepModels,
    initial: Checkpoint,
    batches: Batches,
    settings: TrainerSettings,
    { providers, threads, lean = false }: TrainerOptions = {},
  ): Promise<Trainer> {
    if (lean) returnLargeBlocks();
    const options = { ...kernelOptions(), providers, threads, memoryArena: !lean };
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

  /** Takes step `step`, counted from 1. @throws DivergenceError if what it computes is not finite */
  async step(step: number): Promise<StepReport> {
    const { accumulate, schedule, steps } = this.#settings;
    const reports: Omit<StepReport, 'step' | 'rate' | 'gradientNorm'>[] = [];
    for (let part = 0; part < accumulate; part++) {
      const number = (step - 1) * accumulate + part;
      const batch = await this.#take(number);
      reports.push(await this.#differentiate(step, batch));
      if (!this.#sum) continue;
      if (part === 0) this.#sum.fill(0);
      await this.#optimizer.accumulate(this.#sum, this.store.gradients);
    }
    if (this.#sum) this.store.gradients.set(this.#sum);
    const norm = (await this.#optimizer.norm(this.store)) / accumulate;
    if (!Number.isFinite(norm)) throw new DivergenceError(`Step ${step}: ${this.#firstBadGradient()}`);
    const rate = learningRate(schedule, step - 1, steps);
    const frozen = step > (this.#settings.freezeScales ?? Number.POSITIVE_INFINITY) ? [SCALES] : [];
    await this.#optimizer.step(this.store, { step, rate, norm: norm * accumulate, share: 1 / accumulate, frozen });
    const mean = (pick: (report: (typeof reports)[number]) => number) =>
      reports.reduce((sum, report) => sum + pick(report), 0) / reports.length;
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

  /** The batch that was prepared in the meantime; the next one is begun. */
  async #take(number: number): Promise<Batch> {
    const ready = this.#next?.number === number ? this.#next.batch : this.#batches.get(number);
    const next = this.#batches.get(number + 1);
    next.catch(() => undefined); // met when it is taken
    this.#next = { number: number + 1, batch: next };
    return ready;
  }

  /** Computes the loss of a batch, and its gradients into the store. */
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
    const mean = (part: 'class' | 'box' | 'giou') =>
      heads.reduce((sum, head) => sum + scalar(lossName(head, part)), 0) / heads.length;
    return {
      loss,
      parts: { class: mean('class'), box: mean('box'), giou: mean('giou') },
      distillation: this.#teacher ? scalar(DISTILLATION_LOSS) : undefined,
    };
  }

  /** The target of every query of every head. */
  #assign(step: number, found: Outputs, { counts }: Batch): Record<string, Tensor> {
    return Object.fromEntries(
      this.#models.heads.map((head) => {
        const { data, shape } = found.get(costName(head));
        const [images = 0, queries = 0, columns = 0] = shape;
        const size = queries * columns;
        const costs = data as Float32Array; // of a float output
        if (!costs.every(Number.isFinite)) throw new DivergenceError(`Step ${step}: ${this.#firstBadValue(found)}`);
        const assignments = counts.flatMap((count, image) =>
          matchQueries(costs.subarray(image * size, (image + 1) * size), columns, count, columns - 1),
        );
        return [assignmentName(head), integers(assignments, [images, queries])];
      }),
    );
  }

  /** Where a forward run first went wrong, as far as what it passes on tells. Only for a run that failed. */
  #firstBadValue(found: Outputs): string {
    const producer = new Map(
      this.#models.forward.graph.node.flatMap((node) => node.output.map((name) => [name, node])),
    );
    const bad = this.#models.passed.find((name) => {
      const { type, data } = found.get(name);
      return type === DataType.FLOAT && !(data as Float32Array).every(Number.isFinite); // of a float output
    });
    const node = bad === undefined ? undefined : producer.get(bad);
    return `a value is not a number, first in ${node ? modulePath(node) || node.name : 'the loss'}.`;
  }

  #firstBadGradient(): string {
    const bad = this.store.gradients.findIndex((value) => !Number.isFinite(value));
    return `the gradient of ${this.store.nameAt(bad)} is not a number.`;
  }

  /** A weight or scale of a block, as a view. */
  value(name: string, block: BlockName): Tensor {
    const parameter = this.store.parameters.find((each) => each.name === name);
    if (!parameter) throw new Error(`${name} is not trained`);
    return this.store.view(parameter, this.store.blocks[block]);
  }

  /** The checkpoint `initial` with the weights, or their averages, of now. The tensors are views: they change with training. */
  checkpoint(initial: Checkpoint, block: BlockName): Checkpoint {
    const trained = new Map(
      this.store.parameters.map((parameter) => {
        const values = floatData(this.store.view(parameter, this.store.blocks[block])) as Float32Array<ArrayBuffer>;
        return [parameter.name, { type: DataType.FLOAT, shape: [...parameter.shape], bytes: bytesOf(values) }];
      }),
    );
    // A checkpoint may hold a tensor under a second name as well.
    return new Map(
      [...initial].map(([name, tensor]) => [
        name,
        trained.get(name) ?? trained.get(this.#models.family.canonicalName(name)) ?? tensor,
      ]),
    );
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.#next?.batch.catch(() => undefined);
    await this.#forward.close();
    await this.#backward.close();
    await this.#teacher?.session.close();
    await this.#optimizer[Symbol.asyncDispose]();
  }
}
