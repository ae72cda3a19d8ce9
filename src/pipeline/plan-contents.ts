/** A calibration plan that is identified by the contents of its pictures. */
import { hashFiles } from '../base/hash-files.ts';
import { hashJson } from '../base/hash-json.ts';
import type { WorkOptions } from '../base/progress.ts';
import type { CalibrationPlan } from '../data/calibration-plan.ts';

/** The plan with a key that changes if a picture is replaced by another one of its name. */
export async function withContents(plan: CalibrationPlan, work: WorkOptions): Promise<CalibrationPlan> {
  const contents = await hashFiles(
    plan.items.map(({ path }) => path),
    work,
  );
  return { ...plan, key: hashJson([plan.key, contents]) };
}
