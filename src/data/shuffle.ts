/** A random order (Fisher and Yates). `below` gives whole numbers from 0 to less than its limit. */
export function shuffle<T>(items: readonly T[], below: (limit: number) => number): T[] {
  const result = [...items];
  for (let last = result.length - 1; last > 0; last--) {
    const other = below(last + 1);
    [result[last], result[other]] = [result[other] as T, result[last] as T]; // both are within
  }
  return result;
}
