/** The longest text of a value in a message. */
const LONGEST = 80;

/** A value from a file as a message shows it: as JSON, and without its end if that is long. */
export function describeValue(value: unknown): string {
  // JSON has no number like this; one that is too large is read as infinity.
  if (typeof value === 'number' && !Number.isFinite(value)) return String(value);
  let text: string | undefined;
  try {
    text = JSON.stringify(value);
  } catch {
    // JSON.parse reads lists within lists to any depth, and JSON.stringify does not write them.
    return 'lists that are nested too deep';
  }
  if (text === undefined) return 'nothing';
  return text.length > LONGEST ? `${text.slice(0, LONGEST)}…` : text;
}
