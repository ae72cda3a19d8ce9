/**
 * Journals: files of JSON lines (https://jsonlines.org) that record long work entry by entry, so that the work can be
 * interrupted at any moment and continue.
 *
 * The first line of a keyed journal, its head, names everything that the entries depend on. A journal whose head
 * differs is never continued: entries of one model or data set must not be mixed with those of another.
 */
import { appendFile, truncate, unlink } from 'node:fs/promises';
import type { z } from 'zod';
import { InputError } from './errors.ts';
import { exists, fileError, readBytes, writeAtomic } from './files.ts';
import { type Reservation, reserve } from './reserve.ts';

/** The fields that entries of a journal depend on, compared one by one. */
export type JournalKey = Readonly<Record<string, string | number | boolean | null>>;

/** Options of `Journal.open`. */
export interface JournalOptions<Entry> {
  /** The kind of work that is recorded, as a noun for messages: "evaluation". */
  readonly kind: string;
  /** The fields that the entries depend on. Without a key the file has no head line, and any journal of this schema is continued. */
  readonly key?: JournalKey | undefined;
  /** The form of an entry. */
  readonly schema: z.ZodType<Entry>;
  /** Entries for which it returns false are removed from the file when it is opened. By default all are kept. */
  readonly keep?: ((entry: Entry) => boolean) | undefined;
}

/** The name of the head's field that says which kind of work a journal records. */
const KIND = 'journal';

/**
 * A journal on disk. It belongs to this process until it is closed or removed: another one is refused.
 * @example
 * const journal = await openEvaluationJournal('scores.jsonl', source, dataset);
 * console.log(`${journal.entries.length} images are scored already.`);
 */
export class Journal<Entry> implements AsyncDisposable {
  readonly #path: string;
  readonly #entries: Entry[];
  readonly #reservation: Reservation;

  private constructor(path: string, entries: Entry[], reservation: Reservation) {
    this.#path = path;
    this.#entries = entries;
    this.#reservation = reservation;
  }

  /**
   * Opens the journal at `path`, or starts one. An incomplete last line, which an interrupted write leaves behind, is
   * removed from the file.
   * @throws InputError if the journal belongs to other work (the message names the field that differs), if a line
   * before the last is damaged, if the file cannot be read or written, or if another process has it open
   */
  static async open<Entry>(path: string, options: JournalOptions<Entry>): Promise<Journal<Entry>> {
    const reservation = await reserve(path);
    try {
      return new Journal<Entry>(path, await openEntries(path, options), reservation);
    } catch (error) {
      await reservation[Symbol.asyncDispose]();
      throw error;
    }
  }

  /** All entries, those of earlier runs first. */
  get entries(): readonly Entry[] {
    return this.#entries;
  }

  /** Adds one entry, on disk and to `entries`. @throws UsageError or InputError if the file cannot be written */
  async append(entry: Entry): Promise<void> {
    try {
      await appendFile(this.#path, line(entry));
    } catch (error) {
      throw fileError('write', this.#path, error);
    }
    this.#entries.push(entry);
  }

  /**
   * Deletes the file. Call it once the result of the work is stored elsewhere.
   * @throws UsageError or InputError if the file cannot be deleted
   */
  async remove(): Promise<void> {
    try {
      await unlink(this.#path);
    } catch (error) {
      throw fileError('write', this.#path, error);
    }
    await this.close();
  }

  /** Lets other processes open the journal. The file stays. */
  async close(): Promise<void> {
    await this.#reservation[Symbol.asyncDispose]();
  }

  /** The same as `close`, for `await using`. */
  async [Symbol.asyncDispose](): Promise<void> {
    await this.close();
  }
}

/** The entries of the journal at `path`, which is started if there is none, and trimmed to whole lines that are kept. */
async function openEntries<Entry>(path: string, options: JournalOptions<Entry>): Promise<Entry[]> {
  const { kind, key, keep = () => true } = options;
  const head = key && { [KIND]: kind, ...key };
  if (!(await exists(path))) {
    await writeAtomic(path, head ? line(head) : '');
    return [];
  }
  const { lines, wholeBytes, isTorn } = await readLines(path);
  if (head) checkHead(lines.shift(), head, kind, path);
  const firstNumber = head ? 2 : 1;
  const entries = lines.map((text, index) => parseEntry(text, options, path, index + firstNumber));
  if (isTorn) await truncate(path, wholeBytes);
  const kept = entries.filter(keep);
  if (kept.length < entries.length) await writeAtomic(path, [...(head ? [head] : []), ...kept].map(line).join(''));
  return kept;
}

const line = (value: unknown): string => `${JSON.stringify(value)}\n`;

const NEWLINE = 0x0a;

/** The lines that end in a newline, the bytes that they take up, and whether an incomplete line follows them. */
async function readLines(path: string): Promise<{ lines: string[]; wholeBytes: number; isTorn: boolean }> {
  const bytes = await readBytes(path);
  const wholeBytes = bytes.lastIndexOf(NEWLINE) + 1;
  try {
    const text = new TextDecoder('utf-8', { fatal: true }).decode(bytes.subarray(0, wholeBytes));
    return { lines: text.split('\n').slice(0, -1), wholeBytes, isTorn: wholeBytes < bytes.length };
  } catch {
    throw new InputError(`${path} is not UTF-8 text; remove it to start anew, or choose another path.`);
  }
}

function checkHead(text: string | undefined, expected: JournalKey, kind: string, path: string): void {
  const found = text === undefined ? undefined : parseJson(text);
  if (typeof found !== 'object' || found === null)
    throw new InputError(`${path} is not a journal of dino8; remove it to start anew, or choose another path.`);
  const stored = new Map<string, unknown>(Object.entries(found));
  const differing = [...new Set([...Object.keys(expected), ...stored.keys()])].find(
    (field) => JSON.stringify(stored.get(field)) !== JSON.stringify(expected[field]),
  );
  if (differing !== undefined)
    throw new InputError(
      `${path} belongs to another ${kind}: its "${differing}" is not the same; remove it to start anew, or choose another path.`,
    );
}

function parseEntry<Entry>(text: string, { schema }: JournalOptions<Entry>, path: string, number: number): Entry {
  const parsed = schema.safeParse(parseJson(text));
  if (parsed.success) return parsed.data;
  throw new InputError(`${path} is damaged in line ${number}; remove it to start anew, or choose another path.`);
}

/** The value of a JSON text; undefined, which no schema of an entry accepts, if it is none. */
function parseJson(text: string): unknown {
  try {
    return JSON.parse(text);
  } catch {
    return undefined;
  }
}
