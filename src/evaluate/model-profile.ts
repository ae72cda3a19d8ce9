/** Where the time of a run goes: by module and by operator, and what a machine's peak would need for the same work. */
import type { LoadedModel } from '../models/family.ts';
import { moduleOf } from '../models/model-modules.ts';
import { modelBytes } from '../onnx/write.ts';
import { kernelOptions } from '../runtime/kernels.ts';
import { type ProfiledNode, profileRun } from '../runtime/profile.ts';
import type { Feeds } from '../runtime/session.ts';
import { NO_MODULE } from './contribution.ts';
import { ELSEWHERE, inspectModel } from './inspect.ts';
import type { MachinePeak } from './machine-peak.ts';

/** The time of a module, and its work. */
export interface ProfiledModule {
  /** The name of the module. What ONNX Runtime adds, and what no module has, is "no module". */
  readonly name: string;
  /** The seconds of a run that it takes. */
  readonly seconds: number;
  /** Its multiply-adds. */
  readonly multiplyAdds: number;
  /** Those that are computed on 8-bit integers. */
  readonly integerMultiplyAdds: number;
  /** The time that its multiply-adds would take at the machine's peak, divided by the time that it takes. */
  readonly ofPeak: number;
}

/** The time of all nodes of one operator. */
export interface ProfiledOperator {
  /** The operator, such as "MatMul". */
  readonly operator: string;
  /** The number of nodes, after ONNX Runtime's optimizations. */
  readonly nodes: number;
  /** The seconds of a run that they take. */
  readonly seconds: number;
}

/** Where the time of a run of a model goes. */
export interface ModelProfile {
  /** The modules in the order of computation. */
  readonly modules: readonly ProfiledModule[];
  /** The operators, the slowest first. */
  readonly operators: readonly ProfiledOperator[];
  /** The sum over all modules. */
  readonly total: ProfiledModule;
}

/** The number of runs of a profile. */
const RUNS = 5;
/** Module paths have fewer segments. */
const WHOLE_PATH = 64;

/**
 * Runs a model some times under ONNX Runtime's profiler, which makes each run a little slower.
 * @throws RuntimeError if the model does not run
 */
export async function profileModel(
  loaded: LoadedModel,
  feeds: Feeds,
  threads: number,
  peak: MachinePeak,
): Promise<ModelProfile> {
  const nodes = await profileRun(modelBytes(loaded.model), { threads, ...kernelOptions() }, feeds, RUNS);
  const names = [...loaded.family.modules.map(({ name }) => name), NO_MODULE];
  const rows = new Map(names.map((name) => [name, { seconds: 0, multiplyAdds: 0, integerMultiplyAdds: 0 }]));
  const rowOf = (path: string | undefined) => {
    const name = path === undefined ? undefined : moduleOf(loaded.family.modules, path);
    const row = rows.get(name ?? NO_MODULE);
    if (!row) throw new Error('every module has a row');
    return row;
  };
  for (const { name, seconds } of nodes) rowOf(pathOf(name)).seconds += seconds / RUNS;
  const { modules } = await inspectModel(loaded, { feeds, depth: WHOLE_PATH, profile: false });
  for (const { path, multiplyAdds, integerMultiplyAdds } of modules) {
    const row = rowOf(path === ELSEWHERE ? undefined : path);
    row.multiplyAdds += multiplyAdds;
    row.integerMultiplyAdds += integerMultiplyAdds;
  }
  const measured = [...rows].map(([name, row]) => withPeak({ name, ...row }, peak));
  const sum = (key: 'seconds' | 'multiplyAdds' | 'integerMultiplyAdds') =>
    measured.reduce((total, row) => total + row[key], 0);
  const total = {
    name: 'whole model',
    seconds: sum('seconds'),
    multiplyAdds: sum('multiplyAdds'),
    integerMultiplyAdds: sum('integerMultiplyAdds'),
  };
  return { modules: measured, operators: byOperator(nodes), total: withPeak(total, peak) };
}

/** The module path of a profiled node: what stands before the operator. Nodes of ONNX Runtime have none. */
function pathOf(name: string): string | undefined {
  const slash = name.indexOf('/');
  return slash < 0 ? undefined : name.slice(0, slash);
}

function withPeak(row: Omit<ProfiledModule, 'ofPeak'>, peak: MachinePeak): ProfiledModule {
  const { seconds, multiplyAdds, integerMultiplyAdds } = row;
  const needed = integerMultiplyAdds / peak.integer + (multiplyAdds - integerMultiplyAdds) / peak.float;
  return { ...row, ofPeak: seconds > 0 ? needed / seconds : 0 };
}

function byOperator(nodes: readonly ProfiledNode[]): ProfiledOperator[] {
  const rows = new Map<string, { nodes: number; seconds: number }>();
  for (const { operator, seconds } of nodes) {
    const row = rows.get(operator) ?? { nodes: 0, seconds: 0 };
    rows.set(operator, { nodes: row.nodes + 1, seconds: row.seconds + seconds / RUNS });
  }
  return [...rows].map(([operator, row]) => ({ operator, ...row })).toSorted((a, b) => b.seconds - a.seconds);
}
