// What a benchmark keeps from a run that was interrupted belongs to the sources that it was made by.
import { existsSync, mkdirSync, readdirSync, readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { readEntries, sourcesHash } from '../scripts/check-docs.mjs';
import { misuse, REPOSITORY } from './write-table.mjs';

/** One hash of all files that decide the figures of the tables. */
export function sourcesOf(names) {
  const entries = readEntries(REPOSITORY);
  return names.map((name) => sourcesHash(REPOSITORY, entries, entries.tables[name])).join('-');
}

/** Makes the folder in which a benchmark keeps what the tables are made of; one with results of other sources is refused. */
export function keepIn(folder, names) {
  const note = join(folder, 'sources.txt');
  const sources = sourcesOf(names);
  mkdirSync(folder, { recursive: true });
  if (readdirSync(folder).length === 0) writeFileSync(note, sources);
  else if (!existsSync(note) || readFileSync(note, 'utf8') !== sources)
    misuse(`${folder} has results of other sources; remove it, or name another folder.`);
}
