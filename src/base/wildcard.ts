/**
 * True if a text matches a pattern in which each `*` stands for any number of characters. It uses no regular expression and
 * no backtracking, since a pattern from an untrusted source must not take long.
 * @example
 * matchesWildcard('fc*', 'fc1'); // true
 */
export function matchesWildcard(pattern: string, text: string): boolean {
  const [first = '', ...rest] = pattern.split('*');
  const last = rest.pop();
  if (last === undefined) return pattern === text;
  if (!text.startsWith(first) || !text.endsWith(last)) return false;
  let from = first.length;
  for (const part of rest) {
    const at = text.indexOf(part, from);
    if (at < 0) return false;
    from = at + part.length;
  }
  return from <= text.length - last.length;
}
