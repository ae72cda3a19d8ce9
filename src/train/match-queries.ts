/** The Hungarian method (Kuhn 1955): the assignment of queries to targets whose total cost is minimal. */
import { munkres } from 'munkres';

/**
 * Matches the queries of one image to its targets, one to one.
 * @param costs of assigning each query to each target, [queries, columns] row by row
 * @param columns the number of columns of `costs`
 * @param targets how many of the columns, from the first, are targets; the others are padding
 * @param none the index that a query without a target gets
 * @returns the target of each query
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
