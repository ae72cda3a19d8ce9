/** Where the time of a run goes: by module and by operator, and what a machine's peak would need for the same work. */
import type { LoadedModel } from '../models/family.ts';
import { moduleOf } from '../models/model-modules.ts';
import { modelBytes } from '../onnx/write.ts';
import { kernelOptions } from '../runtime/kernels.ts';
import { type ProfiledNode, profileRun } from '../runtime/profile.ts';
import type { Feeds } from '../runtime/session.ts';
import { NO_MODULE, sumByModule } from './contribution.ts';
import { inspectModel } from './inspect.ts';
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
export async function profileModel(loaded: LoadedModel, feeds: Feeds, peak: MachinePeak): Promise<ModelProfile> {
  const { modules } = loaded.family;
  const nodes = await profileRun(modelBytes(loaded.model), kernelOptions(), feeds, RUNS);
  const work = new Map<string, Pick<ProfiledModule, 'multiplyAdds' | 'integerMultiplyAdds'>>();
  const inspection = await inspectModel(loaded, { feeds, depth: WHOLE_PATH, profile: false });
  for (const { path, multiplyAdds, integerMultiplyAdds } of inspection.modules) {
    const name = moduleOf(modules, path) ?? NO_MODULE;
    const known = work.get(name);
    work.set(name, {
      multiplyAdds: multiplyAdds + (known?.multiplyAdds ?? 0),
      integerMultiplyAdds: integerMultiplyAdds + (known?.integerMultiplyAdds ?? 0),
    });
  }
  const nothing = { multiplyAdds: 0, integerMultiplyAdds: 0 };
  const rows = [...sumByModule(nodes, RUNS, modules)].map(([name, seconds]) =>
    withPeak({ name, seconds, ...(work.get(name) ?? nothing) }, peak),
  );
  const { multiplyAdds, integerMultiplyAdds } = inspection.total;
  const seconds = rows.reduce((sum, row) => sum + row.seconds, 0);
  const total = withPeak({ name: 'whole model', seconds, multiplyAdds, integerMultiplyAdds }, peak);
  return { modules: rows, operators: byOperator(nodes), total };
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
