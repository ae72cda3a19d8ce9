// How every benchmark writes its tables into README.md and docs/. A run prints them; with --write it also replaces what stands after
// <!-- measured: NAME --> in the documents, and notes in docs/measured.json by which sources they were made, as docs:check reads it.
//
//   const tables = openTables(['peers'], { write, settings: { ROUNDS: [ROUNDS, 5] }, needs: { 'PYTHON': python } });
//   tables.table('peers', ['', 'median'], rows);
//   tables.finish();
//
// A run with other settings than those of its tables, or without what they need, does not start with --write. Times are of one processor:
// a table of another one is left as it is.
import { readFileSync } from 'node:fs';
import { cpus } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { parseArgs } from 'node:util';
import { blockOf, noteMade, readEntries, replaceBlock, sourcesHash, writeWhole } from '../scripts/check-docs.mjs';

/** The folder of the repository. */
export const REPOSITORY = fileURLToPath(new URL('..', import.meta.url));

/** Ends a benchmark that was called wrongly, with a sentence. */
export function misuse(sentence) {
  console.error(sentence);
  process.exit(2);
}

/** The arguments of this benchmark: `values` of its options, `write` among them, and `positionals`. */
export function readArguments(options = {}) {
  try {
    return parseArgs({ allowPositionals: true, options: { ...options, write: { type: 'boolean', default: false } } });
  } catch (error) {
    return misuse(error.message);
  }
}

/**
 * The arguments of a benchmark whose tables are of the defaults of its options.
 *
 * @param standard the options by their names, with the values that the tables are of
 * @returns what `readArguments` does, and `settings` for `openTables`
 */
export function readStandard(standard) {
  const each = (of) => Object.fromEntries(Object.entries(standard).map(of));
  const read = readArguments(each(([name, value]) => [name, { type: 'string', default: value }]));
  return { ...read, settings: each(([name, value]) => [`--${name}`, [read.values[name], value]]) };
}

/** The processor of this machine, such as "AMD EPYC, family 26, model 2": names alone do not tell generations apart. */
export function processorName(path = '/proc/cpuinfo') {
  const name = cpus()[0].model.trim();
  try {
    const text = readFileSync(path, 'utf8');
    const [family, model] = ['cpu family', 'model'].map((key) => new RegExp(`^${key}\\s*: (.*)$`, 'm').exec(text)?.[1]);
    return family === undefined ? name : `${name}, family ${family}, model ${model}`;
  } catch {
    return name;
  }
}

/** A table in Markdown. @param rows lists of cells */
export const markdown = (heading, rows) =>
  [heading, heading.map(() => '---'), ...rows].map((cells) => `| ${cells.join(' | ')} |\n`).join('');

/** Why a run cannot write its tables; undefined if it can. */
function reasonNotToWrite(names, { settings, needs }) {
  const tables = `the ${names.length > 1 ? 'tables' : 'table'} ${names.join(', ')}`;
  const [changed] = Object.entries(settings).filter(([, [value, standard]]) => String(value) !== String(standard));
  if (changed) {
    const [setting, [value, standard]] = changed;
    return `--write: ${tables} must be of ${setting} ${standard}, and this run has ${value}; leave ${setting} as it is by default.`;
  }
  const [missing] = Object.entries(needs).filter(([, present]) => !present);
  return missing && `--write: ${tables} cannot be made without ${missing[0]}.`;
}

/**
 * The tables and paragraphs that a benchmark makes, by their names in docs/measured.json. Call it before anything is measured: the files
 * that decide the figures are noted as they are now.
 *
 * @param settings for each setting its value in this run and the one that the tables are of
 * @param needs for each thing that the tables need, by its name, whether it is there
 * @throws with `write` an Error of one sentence if the tables cannot be written, on other settings or without what they need
 */
export function collectTables(
  names,
  { write, settings = {}, needs = {}, root = REPOSITORY, processor = processorName() },
) {
  const made = new Map();
  const ready = write ? openEntries() : new Map();

  /** The tables that this run can write, each with the hash of its sources. */
  function openEntries() {
    const reason = reasonNotToWrite(names, { settings, needs });
    if (reason) throw new Error(reason);
    const entries = readEntries(root);
    const found = new Map();
    for (const name of names) {
      const entry = entries.tables[name];
      if (!entry) throw new Error(`docs/measured.json has no table ${name}.`);
      if (blockOf(readFileSync(join(root, entry.in), 'utf8'), name) === undefined)
        throw new Error(`${entry.in} has no table after <!-- measured: ${name} -->.`);
      if (entry.processor !== undefined && entry.processor !== processor)
        console.log(
          `${name} is of the processor ${entry.processor}, and this one is ${processor}; it is left as it is.`,
        );
      else found.set(name, { file: entry.in, sources: sourcesHash(root, entries, entry) });
    }
    if (found.size === 0)
      throw new Error(
        `--write: no table is of the processor ${processor}; give it one in docs/measured.json and its document, or change the processor of one there.`,
      );
    return found;
  }

  /** Prints a text, which belongs after the marker of `name`. Of several names, each is of another processor. */
  function text(name, block) {
    console.log(`\n${block.trim()}`);
    for (const each of [name].flat()) made.set(each, block);
  }

  return {
    text,
    table: (name, heading, rows) => text(name, markdown(heading, rows)),
    /** Writes the documents, and then the notes. */
    finish() {
      if (!write) return;
      const absent = [...ready.keys()].filter((name) => !made.has(name));
      if (absent.length > 0)
        throw new Error(`--write: this run did not make ${absent.join(', ')}; nothing was written.`);
      const split = [...ready.keys()].find((name) => /\n\s*\n|<!--/.test(made.get(name).trim()));
      if (split !== undefined)
        throw new Error(
          `--write: ${split} has a blank line or a comment, at which the next table would not find its end.`,
        );
      for (const file of new Set([...ready.values()].map((each) => each.file))) {
        let document = readFileSync(join(root, file), 'utf8');
        for (const [name, each] of ready)
          if (each.file === file) document = replaceBlock(document, name, made.get(name));
        writeWhole(join(root, file), document);
      }
      noteMade(root, Object.fromEntries([...ready].map(([name, { sources }]) => [name, sources])));
      console.log(`\nWritten: ${[...ready].map(([name, { file }]) => `${name} in ${file}`).join(', ')}.`);
    },
  };
}

/** As `collectTables`, for a benchmark, which ends with a sentence. */
export function openTables(names, options) {
  const orMisuse = (work) => {
    try {
      return work();
    } catch (error) {
      return misuse(error.message);
    }
  };
  const tables = orMisuse(() => collectTables(names, options));
  return { ...tables, finish: () => orMisuse(tables.finish) };
}
