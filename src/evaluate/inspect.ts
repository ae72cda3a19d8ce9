/** The parameters, work, time and precision of each module of a model, and of its sensitive parts. */
import { checkOptions, type OptionSchemas, objectWith, truth, wholeNumber } from '../base/check-options.ts';
import { checkLoadedArgument, type LoadedModel } from '../models/family.ts';
import { withInputShapes } from '../models/specialize.ts';
import { countMultiplyAdds } from '../onnx/count-multiply-adds.ts';
import { indexGraph } from '../onnx/graph-index.ts';
import type { Model } from '../onnx/read.ts';
import { modulePath } from '../onnx/rewrite.ts';
import { DataType, elementCount } from '../onnx/types.ts';
import { modelBytes } from '../onnx/write.ts';
import { matchesPath } from '../quant/match-path.ts';
import { type PlanSummary, readPlanSummary } from '../quant/plan-summary.ts';
import { kernelOptions } from '../runtime/kernels.ts';
import { profiledPath, profileRun } from '../runtime/profile.ts';
import type { Feeds } from '../runtime/session.ts';

/** The cost of a module. */
export interface ModuleCost {
  /** The module path. Nodes that ONNX Runtime adds, and those of inlined functions, are listed as `ELSEWHERE`. */
  readonly path: string;
  /** The number of parameters. */
  readonly parameters: number;
  /** The bytes that the parameters take in the file. */
  readonly bytes: number;
  /** The multiply-adds of matrix products, convolutions and deformable attention, for one image. */
  readonly multiplyAdds: number;
  /** The multiply-adds that are computed on 8-bit integers. */
  readonly integerMultiplyAdds: number;
  /** The time of a run; undefined if the model was not profiled. */
  readonly seconds: number | undefined;
}

/** The cost of a sensitive part. */
export interface SensitiveCost extends ModuleCost {
  /** Why the part is sensitive to 8 bits. */
  readonly reason: string;
}

/** The result of `inspectModel`. */
export interface Inspection {
  /** The modules in the order of computation. */
  readonly modules: readonly ModuleCost[];
  /** The parts that lose most accuracy in 8 bits, the most sensitive first. A module can belong to several. */
  readonly sensitive: readonly SensitiveCost[];
  /** The sum over all modules. */
  readonly total: ModuleCost;
  /** The number of products whose shapes are not known, so that their multiply-adds are missing. */
  readonly uncounted: number;
  /** The summary of the plan that the model was quantized by; undefined for a model that dino8 did not quantize. */
  readonly plan?: PlanSummary | undefined;
}

/** The path of everything that belongs to no module of the file. */
export const ELSEWHERE = '(added by ONNX Runtime)';

/** Options of `inspectModel`. */
export interface InspectOptions {
  /** The inputs of the model. Their shapes determine the multiply-adds. */
  readonly feeds: Feeds;
  /** The number of segments of a module path by which modules are told apart. */
  readonly depth: number;
  /** Runs the model to measure the time of each module. */
  readonly profile: boolean;
}

const inspectModelSchemas: OptionSchemas<InspectOptions> = {
  feeds: objectWith('an object of tensors'),
  depth: wholeNumber(1),
  profile: truth,
};

/**
 * Lists the cost of each module.
 * @throws RuntimeError if the model is to be profiled and does not run
 * @example
 * const loaded = await loadModel('detector.onnx');
 * const feeds = loaded.family.blankFeeds(loaded);
 * const { total } = await inspectModel(loaded, { feeds, depth: 2, profile: false });
 */
export async function inspectModel(loaded: LoadedModel, options: InspectOptions): Promise<Inspection> {
  checkLoadedArgument(loaded);
  const { model, family } = loaded;
  checkOptions('inspectModel', inspectModelSchemas, options);
  const { feeds, depth, profile } = options;
  const shapes = new Map(Object.entries(feeds).map(([name, { shape }]) => [name, shape]));
  const { costs, uncounted } = costsOf(model, await withInputShapes(model, shapes));
  if (profile) await addSeconds(costs, model, feeds);
  const modules = new Map<string, ModuleCost>();
  for (const cost of costs.values()) {
    const path = cost.path === ELSEWHERE ? ELSEWHERE : cost.path.split('.').slice(0, depth).join('.');
    modules.set(path, add(modules.get(path) ?? nothing(path), cost));
  }
  const all = [...costs.values()];
  const sensitive = family.sensitiveParts.flatMap(({ name, match, reason }) => {
    const matched = all.filter(({ path }) => match.some((pattern) => matchesPath(pattern, path)));
    return matched.length > 0 ? [{ ...matched.reduce(add, nothing(name)), reason }] : [];
  });
  const total = all.reduce(add, nothing('whole model'));
  return { modules: [...modules.values()], sensitive, total, uncounted, plan: readPlanSummary(model) };
}

type Costs = Map<string, ModuleCost>;

const nothing = (path: string): ModuleCost => ({
  path,
  parameters: 0,
  bytes: 0,
  multiplyAdds: 0,
  integerMultiplyAdds: 0,
  seconds: undefined,
});

function add(a: ModuleCost, b: ModuleCost): ModuleCost {
  return {
    path: a.path,
    parameters: a.parameters + b.parameters,
    bytes: a.bytes + b.bytes,
    multiplyAdds: a.multiplyAdds + b.multiplyAdds,
    integerMultiplyAdds: a.integerMultiplyAdds + b.integerMultiplyAdds,
    seconds: a.seconds === undefined && b.seconds === undefined ? undefined : (a.seconds ?? 0) + (b.seconds ?? 0),
  };
}

/** Parameters are counted in `model`, and multiply-adds in `sized`, the same model with known shapes. */
function costsOf(model: Model, sized: Model): { costs: Costs; uncounted: number } {
  const costs: Costs = new Map();
  const charge = (path: string, cost: Partial<ModuleCost>) =>
    costs.set(path, add(costs.get(path) ?? nothing(path), { ...nothing(path), ...cost }));
  const counted = new Set<string>();
  const tensors = indexGraph(model.graph).initializer;
  for (const node of model.graph.node)
    for (const name of node.input) {
      const tensor = tensors.get(name);
      if (!tensor || counted.has(name) || !isParameter(name, tensor.dataType, tensor.dims.length, tensors)) continue;
      counted.add(name);
      const parameters = elementCount(tensor.dims.map(Number));
      charge(modulePath(node), { parameters, bytes: parameters * (tensor.dataType === DataType.FLOAT ? 4 : 1) });
    }
  let uncounted = 0;
  for (const [node, count] of countMultiplyAdds(sized)) {
    if (!count) uncounted++;
    const all = (count?.integer ?? 0) + (count?.float ?? 0);
    if (count && all > 0) charge(modulePath(node), { multiplyAdds: all, integerMultiplyAdds: count.integer });
  }
  return { costs, uncounted };
}

const PARAMETER_TYPES: ReadonlySet<DataType> = new Set([DataType.FLOAT, DataType.INT8, DataType.UINT8]);

/** Scalars are no parameters, and neither are the scale and the zero point of a weight, which is counted itself. */
function isParameter(name: string, type: DataType, rank: number, tensors: ReadonlyMap<string, unknown>): boolean {
  const isOfWeight = /\.(scale|zero_point)$/.test(name) && tensors.has(name.replace(/\.(scale|zero_point)$/, '.int8'));
  return rank > 0 && PARAMETER_TYPES.has(type) && !isOfWeight;
}

async function addSeconds(costs: Costs, model: Model, feeds: Feeds): Promise<void> {
  const RUNS = 3;
  const paths = new Set(model.graph.node.map(modulePath));
  for (const node of await profileRun(modelBytes(model), kernelOptions(), feeds, RUNS)) {
    const path = profiledPath(node) ?? '';
    const known = paths.has(path) && path !== '' ? path : ELSEWHERE;
    const cost = { ...nothing(known), seconds: node.seconds / RUNS };
    costs.set(known, add(costs.get(known) ?? nothing(known), cost));
  }
}
