/**
 * Reads the lists of a JSON file a part at a time, so that a file may be larger than a text of JavaScript, 512 MB, and needs
 * memory for one part only. Bytes are looked at just enough to find where items end; the items themselves are parsed by the
 * caller, as those of a small file are.
 */
import { InputError } from './errors.ts';
import { readChunks } from './files.ts';
import type { WorkOptions } from './progress.ts';

/** Items of a list that follow each other. */
export interface JsonPart {
  /** The name of the member that is the list; empty for a list at the top of the file. */
  readonly list: string;
  /** The number of items before these. */
  readonly start: number;
  /** The items. */
  readonly items: readonly unknown[];
}

/** The lists to read, and how. */
export interface JsonListsOptions extends Pick<WorkOptions, 'onProgress' | 'signal'> {
  /** The members of the object at the top whose items are wanted; the values of others are passed over. */
  readonly lists?: readonly string[] | undefined;
  /** Parses a text that is a JSON list. `source` names it in errors. */
  readonly parse: (text: string, source: string) => unknown;
  /** The number of bytes that are read at a time. */
  readonly chunkBytes?: number | undefined;
}

const CHUNK_BYTES = 1 << 20;
/** Limits for hostile files: of brackets within brackets, of one item, and of all. */
const MAX_NESTING = 500;
const MAX_ITEM_BYTES = 1 << 27;
const MAX_FILE_BYTES = 2 ** 37;
/** A value that is passed over is parsed too if it is no longer than this, so that what is no JSON is noticed. */
const SHORT_BYTES = 1 << 16;

const [QUOTE, COMMA, COLON, BACKSLASH] = [0x22, 0x2c, 0x3a, 0x5c];
const [OPEN_LIST, CLOSE_LIST, OPEN_OBJECT, CLOSE_OBJECT] = [0x5b, 0x5d, 0x7b, 0x7d];
/** 1 for the bytes of brackets and separators. */
const IS_STRUCTURE = Uint8Array.from({ length: 256 }, (_, byte) =>
  [COMMA, COLON, OPEN_LIST, CLOSE_LIST, OPEN_OBJECT, CLOSE_OBJECT].includes(byte) ? 1 : 0,
);
const BYTE_ORDER_MARK = [0xef, 0xbb, 0xbf];
const isSpace = (byte: number) => byte === 0x20 || byte === 0x0a || byte === 0x0d || byte === 0x09;

/**
 * The lists of a JSON file, part by part: the list at its top, or the members of its object that are asked for. An empty list is
 * one part without items. A member that is null is as if it were not there.
 *
 * @throws UsageError if the file does not exist; InputError if it is not JSON, if a member is no list or there twice, or if an item
 * or the nesting is larger than any that is real
 */
export async function* readJsonLists(path: string, options: JsonListsOptions): AsyncGenerator<JsonPart> {
  const { lists = [] } = options;
  const reader = new ListReader(path, options);
  try {
    const first = await reader.peek();
    if (first === OPEN_LIST) yield* reader.list('');
    else if (first === OPEN_OBJECT) yield* members(reader, lists);
    else throw reader.error('it is neither a list nor an object');
    if ((await reader.peek()) !== undefined) throw reader.error('something follows its end');
  } finally {
    await reader.close();
  }
}

async function* members(reader: ListReader, lists: readonly string[]): AsyncGenerator<JsonPart> {
  const seen = new Set<string>();
  reader.take();
  if ((await reader.peek()) === CLOSE_OBJECT) return reader.take();
  for (;;) {
    const name = await reader.name();
    if (lists.includes(name) && seen.size === seen.add(name).size)
      throw reader.error(`it has two members ${JSON.stringify(name)}`);
    const isList = (await reader.peek()) === OPEN_LIST;
    if (lists.includes(name) && isList) yield* reader.list(name);
    else {
      const value = await reader.skip();
      if (lists.includes(name) && value !== null) throw reader.error(`its member ${JSON.stringify(name)} is no list`);
    }
    const next = await reader.peek();
    reader.take();
    if (next === CLOSE_OBJECT) return;
    if (next !== COMMA) throw reader.error('a comma is missing between two members');
  }
}

/** Where a scan for the end of items is. */
interface Scan {
  /** The position up to which bytes were looked at. */
  at: number;
  depth: number;
  isText: boolean;
  isEscaped: boolean;
  /** The position of the last comma between two items; −1 if there is none. */
  comma: number;
}

class ListReader {
  readonly #path: string;
  readonly #options: JsonListsOptions;
  readonly #chunks: AsyncGenerator<{ bytes: Uint8Array; total: number }>;
  /** The bytes that were read and not taken yet, from `#at` on. */
  #bytes: Uint8Array = new Uint8Array();
  #at = 0;
  /** The number of bytes of the file before `#bytes`. */
  #before = 0;

  constructor(path: string, options: JsonListsOptions) {
    this.#path = path;
    this.#options = options;
    this.#chunks = readChunks(path, options.chunkBytes ?? CHUNK_BYTES, MAX_FILE_BYTES);
  }

  error(what: string): InputError {
    return new InputError(`${this.#path} is not valid JSON: near byte ${this.#before + this.#at}, ${what}.`);
  }

  async close(): Promise<void> {
    await this.#chunks.return(undefined);
  }

  /** The next byte that is no space, which stays; undefined at the end of the file. */
  async peek(): Promise<number | undefined> {
    for (;;) {
      for (; this.#at < this.#bytes.length; this.#at++) {
        const byte = this.#bytes[this.#at] ?? 0;
        if (!isSpace(byte)) return byte;
      }
      if (!(await this.#more())) return undefined;
    }
  }

  /** Takes the byte that `peek` returned. */
  take(): void {
    this.#at++;
  }

  /** Takes a name and the colon behind it. */
  async name(): Promise<string> {
    if ((await this.peek()) !== QUOTE) throw this.error('the name of a member is missing');
    const scan = this.#scan();
    while (!this.#findEnd(scan, COLON)) if (!(await this.#more(scan))) throw this.error('it ends within a name');
    const [name, ...others] = this.#parse(this.#bytes.subarray(this.#at, scan.at), 0);
    if (this.#bytes[scan.at] !== COLON || typeof name !== 'string' || others.length > 0)
      throw this.error('the name of a member is not followed by a value');
    this.#at = scan.at + 1;
    return name;
  }

  /** Passes over a value, up to the comma or bracket behind it. Returns it if it is short. */
  async skip(): Promise<unknown> {
    const scan = this.#scan();
    let isShort = true;
    while (!this.#findEnd(scan, COMMA)) {
      isShort &&= scan.at - this.#at <= SHORT_BYTES;
      // The part of a long value that was passed over is dropped, so that memory stays small.
      if (!isShort) this.#at = scan.at;
      if (!(await this.#more(scan))) throw this.error('it ends within a value');
    }
    const values = isShort ? this.#parse(this.#bytes.subarray(this.#at, scan.at), 0) : [undefined];
    if (values.length === 0) throw this.error('a value is missing');
    this.#at = scan.at;
    return values[0];
  }

  /** Takes a list, and gives its items. */
  async *list(name: string): AsyncGenerator<JsonPart> {
    this.take();
    const scan = this.#scan();
    let start = 0;
    for (;;) {
      const isEnd = this.#findEnd(scan, undefined);
      const end = isEnd ? scan.at : scan.comma;
      const items = end < 0 ? [] : this.#takeItems(start, end, isEnd);
      if (items.length > 0 || isEnd) yield { list: name, start, items };
      if (isEnd) return;
      start += items.length;
      scan.comma = -1;
      if (!(await this.#more(scan))) throw this.error('it ends within a list');
    }
  }

  /** Takes the items up to the comma or, if that is the end of the list, the bracket at `end`. */
  #takeItems(start: number, end: number, isEnd: boolean): readonly unknown[] {
    if (isEnd && this.#bytes[end] !== CLOSE_LIST) throw this.error('a list is closed by another bracket');
    const items = this.#parse(this.#bytes.subarray(this.#at, end), start);
    // A list may be empty, but there is an item before and behind each comma.
    if (items.length === 0 && (start > 0 || !isEnd)) throw this.error('an item is missing beside a comma');
    this.#at = end + 1;
    return items;
  }

  #scan = (): Scan => ({ at: this.#at, depth: 0, isText: false, isEscaped: false, comma: -1 });

  /**
   * Goes on with a scan through the bytes that are there. Returns whether it has come to the end: outside of texts and brackets,
   * to the byte `end` or to a closing bracket.
   */
  #findEnd(scan: Scan, end: number | undefined): boolean {
    const bytes = this.#bytes;
    let at = scan.isText ? this.#passText(scan, scan.at) : scan.at;
    while (at < bytes.length) {
      const byte = bytes[at] ?? 0;
      if (byte === QUOTE) at = this.#passText(scan, at + 1);
      else if (IS_STRUCTURE[byte] === 1 && this.#note(scan, byte, at, end)) break;
      else at++;
    }
    scan.at = at;
    return at < bytes.length;
  }

  /** Passes over a text from `from` on. Returns the position behind it, or that behind all bytes if it goes on. */
  #passText(scan: Scan, from: number): number {
    const bytes = this.#bytes;
    let at = scan.isEscaped ? from + 1 : from;
    for (; at < bytes.length; at++) {
      if (bytes[at] === BACKSLASH) at++;
      else if (bytes[at] === QUOTE) {
        Object.assign(scan, { isText: false, isEscaped: false });
        return at + 1;
      }
    }
    Object.assign(scan, { isText: true, isEscaped: at > bytes.length });
    return bytes.length;
  }

  /** Notes a bracket or separator that is outside of texts. Returns whether it is the end that is looked for. */
  #note(scan: Scan, byte: number, at: number, end: number | undefined): boolean {
    const isClosing = byte === CLOSE_LIST || byte === CLOSE_OBJECT;
    if (byte === OPEN_LIST || byte === OPEN_OBJECT) scan.depth++;
    else if (scan.depth > 0) scan.depth -= isClosing ? 1 : 0;
    else if (isClosing || byte === end) return true;
    else if (byte === COMMA) scan.comma = at;
    if (scan.depth <= MAX_NESTING) return false;
    this.#at = at;
    throw this.error(`brackets are nested more than ${MAX_NESTING} times`);
  }

  /** Parses a text as the inside of a list, whose first item has the number `start`. */
  #parse(bytes: Uint8Array, start: number): readonly unknown[] {
    const place = `${this.#path}, from item ${start + 1} of a list on, near byte ${this.#before + this.#at}`;
    const items = this.#options.parse(`[${this.#text(bytes)}]`, place);
    if (!Array.isArray(items)) throw this.error('a list is none');
    return items;
  }

  #text(bytes: Uint8Array): string {
    try {
      return new TextDecoder('utf-8', { fatal: true, ignoreBOM: true }).decode(bytes);
    } catch {
      throw new InputError(`${this.#path} is not UTF-8 text; is it the right file?`);
    }
  }

  /** Reads more bytes behind those that are not taken yet. Returns false at the end of the file. */
  async #more(scan?: Scan): Promise<boolean> {
    const { signal, onProgress } = this.#options;
    signal?.throwIfAborted();
    const kept = this.#bytes.subarray(this.#at);
    if (kept.length > MAX_ITEM_BYTES) throw this.error(`one item has more than ${MAX_ITEM_BYTES} bytes`);
    const { value, done } = await this.#chunks.next();
    if (done) return false;
    const isFirst = this.#before + this.#at === 0 && kept.length === 0;
    const hasMark = isFirst && BYTE_ORDER_MARK.every((byte, index) => value.bytes[index] === byte);
    const bytes = hasMark ? value.bytes.subarray(BYTE_ORDER_MARK.length) : value.bytes;
    const joined = new Uint8Array(kept.length + bytes.length);
    joined.set(kept);
    joined.set(bytes, kept.length);
    if (scan) scan.at -= this.#at;
    this.#before += this.#at;
    [this.#bytes, this.#at] = [joined, 0];
    const megabytes = (count: number) => Math.round(count / 1e6);
    onProgress?.({
      label: `Reading ${this.#path}`,
      done: megabytes(this.#before + joined.length),
      total: megabytes(value.total),
    });
    return true;
  }
}
