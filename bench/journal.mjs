// A file of JSON lines with the measurements of a benchmark, so that one that was interrupted goes on where it was.
import { appendFileSync, existsSync, readFileSync } from 'node:fs';

/** Opens the journal at `path`. Entries have a `key`; of several with the same key the last one counts. */
export function openJournal(path) {
  const lines = existsSync(path) ? readFileSync(path, 'utf8').trim().split('\n').filter(Boolean) : [];
  const entries = new Map(lines.map((line) => JSON.parse(line)).map((entry) => [entry.key, entry]));
  return {
    get: (key) => entries.get(key),
    add: (key, entry) => {
      entries.set(key, { ...entry, key });
      appendFileSync(path, `${JSON.stringify({ ...entry, key })}\n`);
    },
  };
}
