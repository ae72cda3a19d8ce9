/** Journals survive interruptions at any byte, and refuse damage and the entries of other work. */
import { appendFile, mkdtemp, readFile, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import fc from 'fast-check';
import { beforeEach, describe, expect, test } from 'vitest';
import { z } from 'zod';
import { InputError, UsageError } from './errors.ts';
import { exists } from './files.ts';
import { Journal, type JournalKey } from './json-lines.ts';

const schema = z.object({ name: z.string(), value: z.number() });
type Entry = z.output<typeof schema>;

const ENTRIES: Entry[] = [
  { name: 'first', value: 1 },
  { name: 'zweite Zeile: ä, 漢字, "quoted"\n', value: -2.5 },
  { name: '', value: 1e-300 },
];
const KEY: JournalKey = { model: 'abc', images: 3, prompt: 'red circle' };

let path: string;
beforeEach(async () => {
  path = join(await mkdtemp(join(tmpdir(), 'dino8-journal-')), 'work.jsonl');
});

const open = (key: JournalKey | undefined = KEY) => Journal.open(path, { kind: 'evaluation', key, schema });

async function writeJournal(): Promise<void> {
  const journal = await open();
  for (const entry of ENTRIES) await journal.append(entry);
}

test('a journal that is opened again has the entries that were appended, in order', async () => {
  await writeJournal();
  const { entries } = await open();
  expect(entries).toEqual(ENTRIES);
});

test('a journal that was cut off at any byte continues with the entries before the cut', async () => {
  await writeJournal();
  const whole = await readFile(path);
  const headLength = whole.indexOf('\n') + 1;
  await fc.assert(
    fc.asyncProperty(fc.integer({ min: headLength, max: whole.length }), async (cut) => {
      await writeFile(path, whole.subarray(0, cut));
      const before = whole.subarray(0, cut).toString().split('\n').length - 2;
      const journal = await open();
      expect(journal.entries).toEqual(ENTRIES.slice(0, before));
      for (const entry of ENTRIES.slice(before)) await journal.append(entry);
      expect(await readFile(path)).toEqual(whole);
    }),
    { numRuns: 60 },
  );
});

describe('a journal of other work is refused, and the file stays as it is', () => {
  test.each(Object.keys(KEY))('if the field "%s" of the key differs', async (field) => {
    await writeJournal();
    const before = await readFile(path);
    const failure = await open({ ...KEY, [field]: 'other' }).catch((error: unknown) => error);
    expect(failure).toBeInstanceOf(InputError);
    expect(String(failure)).toContain(`"${field}"`);
    expect(await readFile(path)).toEqual(before);
  });

  test('if a field was added or left out', async () => {
    await writeJournal();
    await expect(open({ ...KEY, seed: 0 })).rejects.toThrow('"seed"');
    await expect(open({ model: 'abc', images: 3 })).rejects.toThrow('"prompt"');
  });

  test.each([
    '',
    'notes without a newline',
    'notes\nthat end in the middle of a line',
    '{"name":"first","value":1}\n',
    '\x80\n',
  ])('if the file is no journal: %j', async (text) => {
    await writeFile(path, text, 'latin1');
    await expect(open()).rejects.toThrow(InputError);
    expect(await readFile(path, 'latin1')).toBe(text);
  });
});

test.each(['{"name":"first","val', '{"name":"first"}', '[]', ''])(
  'a damaged line before the last is an error that names the line: %j',
  async (damaged) => {
    await writeJournal();
    await appendFile(path, `${damaged}\n${JSON.stringify(ENTRIES[0])}\n`);
    await expect(open()).rejects.toThrow('line 5');
  },
);

test('entries that are not kept are removed from the file', async () => {
  await writeJournal();
  const keep = ({ value }: Entry) => value < 1;
  const { entries } = await Journal.open(path, { kind: 'evaluation', key: KEY, schema, keep });
  expect(entries).toEqual(ENTRIES.slice(1));
  expect((await open()).entries).toEqual(ENTRIES.slice(1));
});

test('a journal without a key has one line for each entry', async () => {
  const log = await Journal.open(path, { kind: 'training', schema });
  for (const entry of ENTRIES) await log.append(entry);
  const lines = (await readFile(path, 'utf8')).trimEnd().split('\n');
  expect(lines.map((text): unknown => JSON.parse(text))).toEqual(ENTRIES);
  await appendFile(path, '{"na');
  expect((await Journal.open(path, { kind: 'training', schema })).entries).toEqual(ENTRIES);
});

test('a removed journal is gone, and failures of the file system are errors with a sentence', async () => {
  const journal = await open();
  await journal.remove();
  expect(await exists(path)).toBe(false);
  await expect(journal.remove()).rejects.toThrow(UsageError);
  await expect(Journal.open(join(path, 'x', 'y'), { kind: 'evaluation', schema })).rejects.toThrow(UsageError);
});
