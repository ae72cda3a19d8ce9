/** Assigns queries to targets with the minimum total cost, by the Hungarian method (Kuhn 1955). */
import { munkres } from 'munkres';

/**
 * Assigns each target to one query.
 *
 * @param costs of each query and target, [queries, columns] row by row
 * @param targets the number of columns that are targets, at most `columns`
 * @returns the target of each query, `none` for queries that have none
 */
export function matchQueries(costs: Float32Array, columns: number, targets: number, none: number): number[] {
  const queries = costs.length / columns;
  const assignment = new Array<number>(queries).fill(none);
  if (targets === 0) return assignment;
  const rows = Array.from({ length: queries }, (_, query) =>
    costs.subarray(query * columns, query * columns + targets),
  );
  for (const [query, target] of munkres(rows)) assignment[query] = target;
  return assignment;
}
