/**
 * A copy of a list in random order (Fisher and Yates 1938, in the form of Durstenfeld 1964).
 * @param below returns a random integer from 0 up to, but not including, its argument
 */
export function shuffle<T>(items: readonly T[], below: (limit: number) => number): T[] {
  const result = [...items];
  for (let last = result.length - 1; last > 0; last--) {
    const other = below(last + 1);
    [result[last], result[other]] = [result[other] as T, result[last] as T]; // both indices are within the list
  }
  return result;
}
