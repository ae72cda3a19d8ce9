/** Patterns for module paths: `*` stands for one segment or a part of it, `**` for any number of segments. */
import { UsageError } from '../base/errors.ts';
import { matchesWildcard } from '../base/wildcard.ts';

/**
 * Returns whether a module path fits a pattern. The time is at most proportional to the product of their numbers of
 * segments, for any number of `**`: a pattern may come from a stranger and must not take forever.
 *
 * @param pattern segments separated by periods: `*` stands for one segment or a part of it, `**` for any number of segments
 * @param path a module path, such as `model.encoder.layers.0.fc1`
 * @example
 * matchesPath('model.**.fc*', 'model.encoder.layers.0.fc1'); // true
 */
export function matchesPath(pattern: string, path: string): boolean {
  if (typeof pattern !== 'string' || typeof path !== 'string')
    throw new UsageError('The pattern and the path must be texts.');
  const [wanted, segments] = [pattern.split('.'), path.split('.')];
  let [at, segment] = [0, 0];
  // The last `**` seen, and the first segment that it has not taken yet: a mismatch lets it take one more.
  let [retryAt, retrySegment] = [-1, 0];
  while (segment < segments.length) {
    const part = wanted[at];
    if (part === '**') {
      [retryAt, retrySegment] = [at, segment];
      at++;
    } else if (part !== undefined && matchesWildcard(part, segments[segment] ?? '')) {
      at++;
      segment++;
    } else if (retryAt >= 0) {
      retrySegment++;
      [at, segment] = [retryAt + 1, retrySegment];
    } else return false;
  }
  return wanted.slice(at).every((part) => part === '**');
}
