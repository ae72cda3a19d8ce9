/** Matching queries to targets so that the total cost is least (Kuhn 1955, the Hungarian method). */
import { munkres } from 'munkres';

/**
 * @param costs of each query and target, [queries, columns] row by row
 * @param targets how many of the columns are targets, at most `columns`
 * @returns the target of each query, `none` for those that have none
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
