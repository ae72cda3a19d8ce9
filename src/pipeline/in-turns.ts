/** Measurements that take turns, so that what else the machine does meets all that is measured. */
import type { WorkOptions } from '../base/progress.ts';

/**
 * Measures each item once in every round.
 * @param measure measures one item in a round, from 1
 * @returns for each item its measurements, in the order of the rounds
 */
export async function measureInTurns<Item, Measured>(
  items: readonly Item[],
  rounds: number,
  measure: (item: Item, round: number) => Promise<Measured>,
  { onProgress, signal }: Pick<WorkOptions, 'onProgress' | 'signal'>,
): Promise<Measured[][]> {
  const results = items.map((): Measured[] => []);
  const total = rounds * items.length;
  for (let round = 1; round <= rounds; round++)
    for (const [index, item] of items.entries()) {
      signal?.throwIfAborted();
      onProgress?.({ label: 'Timing', done: (round - 1) * items.length + index, total });
      results[index]?.push(await measure(item, round));
    }
  onProgress?.({ label: 'Timing', done: total, total });
  return results;
}
