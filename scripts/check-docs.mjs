// Finds tables of measured figures in README.md and docs/ that are older than the code they describe.
//
//   node scripts/check-docs.mjs                                 lists stale tables with the command that makes each again
//   node scripts/check-docs.mjs --made TABLE [--at COMMIT]      notes that a table was made, by this build or that of a commit
//   node scripts/check-docs.mjs --accept TABLE --because WHY    notes why the changes since then cannot alter a table
//   node scripts/check-docs.mjs --keep TABLE --because WHY      notes why a table of an older build stays, which it then says above itself
//
// docs/measured.json has an entry for each table: the command that makes it, and the files that decide its figures, by purpose; for
// times also the processor that it was measured on. In the document, the comment <!-- measured: TABLE --> stands before the table, or
// before a paragraph that a benchmark writes; bench/write-table.mjs replaces what stands after it. A table is stale if what the files do
// has changed; comments, spaces and tests do not count. Only a table that cannot be made on the machine at hand may be stale: its entry
// says in `kept` why, such as "another processor", and the sentence "Measured at COMMIT (DATE)." stands above it. It is listed then, and
// no error. A table after <!-- history --> tells what single changes brought when they were made.
import { execFileSync } from 'node:child_process';
import { createHash } from 'node:crypto';
import { existsSync, mkdtempSync, readFileSync, renameSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath, pathToFileURL } from 'node:url';
import { parseArgs } from 'node:util';
import { globSync } from 'tinyglobby';

const NOT_SOURCES = /\.test\.|\/testing\/|\.md$/;
const CODE = /\.(ts|mjs|cpp|h)$/;

/** What a file says to a machine: without comments and spaces, in which figures do not depend. */
export function essence(name, bytes) {
  if (!CODE.test(name)) return bytes;
  return bytes
    .toString('utf8')
    .replace(/\/\*[\s\S]*?\*\//g, '')
    .replace(/(^|\s)\/\/.*$/gm, '')
    .replace(/\s+/g, ' ');
}

/** The hash of files. @param names their paths; @param read gives the bytes of one */
export function hashOf(names, read) {
  const hash = createHash('sha256');
  for (const name of names.filter((each) => !NOT_SOURCES.test(each)).toSorted())
    hash
      .update(`${name}\0`)
      .update(essence(name, read(name)))
      .update('\0');
  return hash.digest('hex').slice(0, 16);
}

const markerOf = (name) => `<!-- measured: ${name} -->\n`;
/** The lines after a marker, up to a blank line or another comment. */
const BLOCK = /^(?:(?!<!--)[^\n]*\S[^\n]*\n)+/;
const MEASURED_AT = /Measured at ([0-9a-f]+ \([-\d]+\))\.\n\n$/;

/** The table or the paragraph after the marker of `name`; undefined if there is none. */
export function blockOf(text, name) {
  const start = text.indexOf(markerOf(name));
  return start < 0 ? undefined : BLOCK.exec(text.slice(start + markerOf(name).length))?.[0];
}

/** The text with another table or paragraph after the marker of `name`, and without the line before it that names an older build. */
export function replaceBlock(text, name, block) {
  const start = text.indexOf(markerOf(name));
  if (start < 0) throw new Error(`There is no ${markerOf(name).trim()} in the document any more.`);
  const before = text.slice(0, start).replace(MEASURED_AT, '');
  const after = text.slice(start + markerOf(name).length);
  return `${before}${markerOf(name)}${block.trim()}\n${after.replace(BLOCK, '')}`;
}

/** The build that a table says above itself that it is of; undefined if it does not say so. */
const saidBuild = (text, name) => MEASURED_AT.exec(text.slice(0, text.indexOf(markerOf(name))))?.[1];

/** Numbers with a unit, or with an interval: what only a measurement can say. */
const FIGURE = /\d\.\d+ (?:s|ms|MB)\b|\d\.\d+ [[(][−+\d.]+(?:,| to) /;

/** The tables with measured figures that no marker stands before, by their headings. */
export function unmarkedTables(text) {
  const found = [];
  for (const match of text.matchAll(/(?:^\|.*\n)+/gm)) {
    const before = text.slice(0, match.index).trimEnd();
    const figures = match[0].split('\n').filter((line) => FIGURE.test(line)).length;
    if (figures >= 3 && !/<!-- (?:measured: [\w-]+|history) -->$/.test(before)) found.push(match[0].split('\n')[0]);
  }
  return found;
}

/** The problems and the notes about the documents below `root`. */
export function checkDocs(root) {
  const entries = readEntries(root);
  const problems = [];
  const notes = [];
  const texts = new Map();
  const textOf = (file) => {
    if (!texts.has(file)) texts.set(file, existsSync(join(root, file)) ? readFileSync(join(root, file), 'utf8') : '');
    return texts.get(file);
  };
  for (const [name, entry] of Object.entries(entries.tables)) {
    const table = blockOf(textOf(entry.in), name);
    if (table === undefined) {
      problems.push(
        `${entry.in} has no table after <!-- measured: ${name} -->; put that comment before the table which \`${entry.command}\` makes.`,
      );
      continue;
    }
    const said = saidBuild(textOf(entry.in), name);
    if (said !== undefined && said !== entry.measured)
      problems.push(`${entry.in}: the table ${name} says that it is of ${said}, and it is of ${entry.measured}.`);
    const again = `make it again with \`${entry.command}\``;
    if (hashOf(['table'], () => Buffer.from(table)) !== entry.table)
      problems.push(`${entry.in}: the table ${name} was changed by hand; ${again}.`);
    else if (sourcesHash(root, entries, entry) !== entry.sources) {
      if (entry.kept === undefined)
        problems.push(
          `${entry.in}: the table ${name} is older than the code it describes; ${again}, or say with --accept ${name} --because "…" why the changes cannot alter it, or with --keep why it stays although they can.`,
        );
      else if (said === undefined)
        problems.push(
          `${entry.in}: the table ${name} of an older build is kept, and does not say so; write "Measured at ${entry.measured}." and a blank line before its comment.`,
        );
      else notes.push(`${entry.in}: ${name} is of ${entry.measured}, kept: ${entry.kept}.`);
    }
  }
  for (const file of ['README.md', ...globSync('docs/*.md', { cwd: root })])
    for (const heading of unmarkedTables(textOf(file)))
      problems.push(`${file}: the table "${heading}" has measured figures and no entry in docs/measured.json.`);
  return { problems, notes };
}

const entriesFile = (root) => join(root, 'docs', 'measured.json');

/** What docs/measured.json says: `purposes` and `tables`. */
export const readEntries = (root) => JSON.parse(readFileSync(entriesFile(root), 'utf8'));

/** Writes a file whole or not at all. */
export function writeWhole(path, text) {
  const temporary = `${path}.${process.pid}.tmp`;
  writeFileSync(temporary, text);
  renameSync(temporary, path);
}

const writeEntries = (root, entries) => writeWhole(entriesFile(root), `${JSON.stringify(entries, undefined, 2)}\n`);

const stampOf = (root, commit) =>
  execFileSync('git', ['log', '-1', '--format=%h (%cs)', commit], { cwd: root }).toString().trim();

/** The table of an entry as it stands in its document. */
function writtenBlock(root, entry, name) {
  const block = blockOf(readFileSync(join(root, entry.in), 'utf8'), name);
  if (block === undefined) throw new Error(`${entry.in} has no table after <!-- measured: ${name} -->.`);
  return block;
}

/**
 * Notes in docs/measured.json that the tables, as they stand in their documents, were made.
 *
 * @param sources for each table, by its name, the hash of the files that decide its figures
 */
export function noteMade(root, sources, commit = 'HEAD') {
  const entries = readEntries(root);
  for (const [name, hash] of Object.entries(sources)) {
    const entry = entries.tables[name];
    entry.table = hashOf(['table'], () => Buffer.from(writtenBlock(root, entry, name)));
    entry.sources = hash;
    entry.measured = stampOf(root, commit);
    delete entry.accepted;
    delete entry.kept;
  }
  writeEntries(root, entries);
}

const globsOf = ({ purposes }, { of }) => of.flatMap((purpose) => purposes[purpose]);

/** The hash of the files that decide the figures of an entry, as they are. */
export function sourcesHash(root, entries, entry) {
  const names = globSync(globsOf(entries, entry), { cwd: root });
  return hashOf(names, (name) => readFileSync(join(root, name)));
}

/** The hash of the sources as they were at a commit. */
function sourcesAt(root, entries, entry, commit) {
  const folder = mkdtempSync(join(tmpdir(), 'dino8-docs-'));
  try {
    const archive = execFileSync('git', ['archive', commit], { cwd: root, maxBuffer: 1 << 30 });
    execFileSync('tar', ['-x', '-C', folder], { input: archive });
    return sourcesHash(folder, entries, entry);
  } finally {
    rmSync(folder, { recursive: true, force: true });
  }
}

/** Notes why a table of an older build stays, and lets it say so in its document. */
export function keepOld(root, name, reason) {
  const entries = readEntries(root);
  const entry = entries.tables[name];
  const text = readFileSync(join(root, entry.in), 'utf8');
  if (saidBuild(text, name) === undefined) {
    const start = text.indexOf(markerOf(name));
    writeWhole(join(root, entry.in), `${text.slice(0, start)}Measured at ${entry.measured}.\n\n${text.slice(start)}`);
  }
  entry.kept = reason;
  writeEntries(root, entries);
}

function main() {
  const root = fileURLToPath(new URL('..', import.meta.url));
  const { values } = parseArgs({
    options: {
      made: { type: 'string' },
      at: { type: 'string' },
      accept: { type: 'string' },
      keep: { type: 'string' },
      because: { type: 'string' },
    },
  });
  const name = values.made ?? values.accept ?? values.keep;
  if (name !== undefined) {
    const entries = readEntries(root);
    const entry = entries.tables[name];
    if (!entry)
      throw new Error(`docs/measured.json has no table ${name}; it has ${Object.keys(entries.tables).join(', ')}.`);
    if (values.made === undefined && !values.because) throw new Error('Say why with --because.');
    const sources = values.at ? sourcesAt(root, entries, entry, values.at) : sourcesHash(root, entries, entry);
    writtenBlock(root, entry, name);
    if (values.made !== undefined) noteMade(root, { [name]: sources }, values.at);
    else if (values.keep !== undefined) keepOld(root, name, values.because);
    else {
      Object.assign(entry, { sources, accepted: { at: stampOf(root, values.at ?? 'HEAD'), because: values.because } });
      writeEntries(root, entries);
    }
  }
  const { problems, notes } = checkDocs(root);
  for (const note of notes) console.log(`older, and says so: ${note}`);
  for (const problem of problems) console.error(problem);
  if (problems.length > 0) process.exitCode = 1;
  else console.log('No table of measured figures is older than it says.');
}

if (process.argv[1] && import.meta.url === pathToFileURL(process.argv[1]).href) {
  try {
    main();
  } catch (error) {
    console.error(error.message);
    process.exitCode = 2;
  }
}
