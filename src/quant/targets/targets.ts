/** The table of targets. A new target is a folder and a line in this table. */
import { UsageError } from '../../base/errors.ts';
import { openVino } from './openvino/openvino.ts';
import { ortCpu } from './ort-cpu/ort-cpu.ts';
import { qdq } from './qdq/qdq.ts';
import type { QuantizationTarget } from './target.ts';
import { tensorRt } from './tensorrt/tensorrt.ts';

/** The first one is the default. */
export const TARGETS: readonly [QuantizationTarget, ...QuantizationTarget[]] = [
  ortCpu,
  tensorRt,
  openVino,
  qdq, //
];

/** The names of all targets, the default first. */
export const TARGET_NAMES: readonly string[] = TARGETS.map(({ name }) => name);

/** The target that is meant where none is named. */
export const DEFAULT_TARGET: QuantizationTarget = TARGETS[0];

/**
 * Returns the target of that name.
 * @throws UsageError if there is none; the message lists the names
 * @example
 * const { description } = findTarget('tensorrt');
 */
export function findTarget(name: string): QuantizationTarget {
  const found = TARGETS.find((target) => target.name === name);
  if (!found) throw new UsageError(`There is no target "${name}"; the targets are ${TARGET_NAMES.join(', ')}.`);
  return found;
}
