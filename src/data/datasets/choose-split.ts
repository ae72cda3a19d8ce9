/** The choice among the splits of a data set. */
import { UsageError } from '../../base/errors.ts';
import type { ReadDatasetOptions } from './dataset-options.ts';

/** The splits by what images are read for, the usual name first. */
const USUAL = { training: ['train'], scoring: ['val', 'valid', 'validation'] } as const;

/**
 * The name of the split to read: the named one, or the usual one for the purpose, which is then told.
 * @throws UsageError if there is no such split, which lists those that there are
 */
export function chooseSplit<Name extends string>(
  names: readonly Name[],
  { split, purpose = 'scoring', onNotice }: ReadDatasetOptions,
  source: string,
): Name {
  const list = names.join(', ');
  if (split !== undefined) {
    const named = names.find((name) => name === split);
    if (named !== undefined) return named;
    throw new UsageError(`${source} has no split ${split}; its splits are ${list}.`);
  }
  const usual = USUAL[purpose].flatMap((name) => names.find((each) => each === name) ?? [])[0];
  if (usual === undefined) throw new UsageError(`${source} has the splits ${list}; choose one with \`split\`.`);
  if (names.length > 1) onNotice?.(`${source}: the split ${usual} is read, of ${list}; \`split\` chooses another.`);
  return usual;
}
