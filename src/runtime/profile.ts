/** Profiles of runs: the time of each node, measured by ONNX Runtime's own profiler. */

import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { z } from 'zod';
import { checkOptions, checkValue, wholeNumber } from '../base/check-options.ts';
import { readJsonAs } from '../base/read-json-as.ts';
import { type SessionOptions, sessionSchemas } from './options.ts';
import { type Feeds, Session } from './session.ts';

/** One node of a profile. */
export interface ProfiledNode {
  /** The node's name: in dino8's models its module path and operator. ONNX Runtime makes up names for fused nodes. */
  readonly name: string;
  /** The operator, such as "MatMul". */
  readonly operator: string;
  /** The time in seconds, summed over the runs. */
  readonly seconds: number;
  /** The bytes of the tensors that it reads and writes, weights included, in one run. */
  readonly bytes: number;
}

/**
 * The module path of a profiled node: what stands before the operator in its name. The name of a fused node begins with that of
 * one of its parts; nodes that ONNX Runtime makes up, and those of inlined functions, have none.
 */
export function profiledPath({ name }: ProfiledNode): string | undefined {
  const slash = name.indexOf('/');
  return slash < 0 ? undefined : name.slice(0, slash);
}

const eventSchema = z.object({
  cat: z.string(),
  name: z.string(),
  dur: z.number().default(0),
  args: z
    .object({
      op_name: z.string().optional(),
      activation_size: z.coerce.number().optional(),
      parameter_size: z.coerce.number().optional(),
      output_size: z.coerce.number().optional(),
    })
    .optional(),
});

const SUFFIX = '_kernel_time';

/**
 * Profiles a model: runs it once to warm up and then `runs` times.
 *
 * @returns the nodes in the order in which they ran
 * @throws RuntimeError if the model does not load or a run fails
 * @example
 * const nodes = await profileRun('model.onnx', kernelOptions(), feeds);
 * const slowest = nodes.toSorted((a, b) => b.seconds - a.seconds)[0];
 */
export async function profileRun(
  model: string | Uint8Array,
  options: SessionOptions,
  feeds: Feeds,
  runs = 1,
): Promise<ProfiledNode[]> {
  checkOptions('profileRun', sessionSchemas, options);
  checkValue('`runs`', wholeNumber(1), runs);
  const folder = await mkdtemp(join(tmpdir(), 'dino8-profile-'));
  try {
    await using session = await Session.create(model, { ...options, profilePrefix: join(folder, 'profile') });
    for (let run = 0; run <= runs; run++) (await session.run(feeds)).dispose();
    const events = await readJsonAs(z.array(eventSchema), session.endProfiling());
    const perRun = events.filter((event) => event.cat === 'Node' && event.name.endsWith(SUFFIX));
    const nodes = new Map<string, ProfiledNode>();
    for (const event of perRun.slice(perRun.length / (runs + 1))) {
      const name = event.name.slice(0, -SUFFIX.length);
      const seconds = (nodes.get(name)?.seconds ?? 0) + event.dur / 1e6;
      const { op_name: operator = '', activation_size, parameter_size, output_size } = event.args ?? {};
      const bytes = (activation_size ?? 0) + (parameter_size ?? 0) + (output_size ?? 0);
      nodes.set(name, { name, operator, seconds, bytes });
    }
    return [...nodes.values()];
  } finally {
    await rm(folder, { recursive: true, force: true });
  }
}
