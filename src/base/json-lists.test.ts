/** Lists of JSON files that are read part by part are those that JSON.parse reads. */
import { mkdtempSync } from 'node:fs';
import { rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import fc from 'fast-check';
import { afterAll, describe, expect, test } from 'vitest';
import { InputError, UsageError } from './errors.ts';
import { type JsonListsOptions, readJsonLists } from './json-lists.ts';

const root = mkdtempSync(join(tmpdir(), 'dino8-json-'));
const path = join(root, 'file.json');
afterAll(() => rm(root, { recursive: true, force: true }));

function parse(text: string, source: string): unknown {
  try {
    return JSON.parse(text);
  } catch {
    throw new InputError(`${source} is not valid JSON.`);
  }
}

/** The items of each list of a text that is read in pieces of so many bytes. */
async function read(text: string | Uint8Array, chunkBytes: number, options: Partial<JsonListsOptions> = {}) {
  await writeFile(path, text);
  const lists: Record<string, unknown[]> = {};
  for await (const { list, start, items } of readJsonLists(path, { parse, chunkBytes, ...options })) {
    expect(start).toBe(lists[list]?.length ?? 0);
    lists[list] = [...(lists[list] ?? []), ...items];
  }
  return lists;
}

const chunk = fc.integer({ min: 1, max: 60 });
const value = fc.jsonValue({ maxDepth: 3 });
const spaces = fc.constantFrom(undefined, 1, '\t', '\n');

describe('as JSON.parse', () => {
  test('a list', async () => {
    await fc.assert(
      fc.asyncProperty(fc.array(value), spaces, chunk, async (items, space, chunkBytes) => {
        const text = JSON.stringify(items, undefined, space);
        expect(await read(text, chunkBytes)).toEqual({ '': JSON.parse(text) });
      }),
    );
  });

  test('the members of an object that are asked for', async () => {
    const member = fc.oneof(fc.array(value), value);
    await fc.assert(
      fc.asyncProperty(fc.array(value), fc.array(value), member, chunk, async (images, boxes, other, chunkBytes) => {
        const text = JSON.stringify({ info: other, images, 'a "name"': other, boxes, more: other });
        const lists = await read(text, chunkBytes, { lists: ['images', 'boxes', 'none'] });
        expect(lists).toEqual(JSON.parse(JSON.stringify({ images, boxes })));
      }),
    );
  });

  test('a damaged list is refused where JSON.parse refuses it, and read where it does not', async () => {
    const text = JSON.stringify([{ a: [1, 'x,]"\\'], b: {} }, [], 'é', -1.5e3, null]);
    const change = fc.record({
      at: fc.nat(text.length),
      to: fc.constantFrom('', ',', '[', ']', '{', '}', '"', '1', ':', ' '),
    });
    await fc.assert(
      fc.asyncProperty(change, chunk, async ({ at, to }, chunkBytes) => {
        const changed = text.slice(0, at) + to + text.slice(at + 1);
        let expected: unknown;
        try {
          expected = JSON.parse(changed);
        } catch {
          await expect(read(changed, chunkBytes)).rejects.toThrow(InputError);
          return;
        }
        if (Array.isArray(expected)) expect(await read(changed, chunkBytes)).toEqual({ '': expected });
      }),
      { numRuns: 300 },
    );
  });

  test('a byte order mark at the beginning is left out', async () => {
    expect(await read('\uFEFF [1]', 5)).toEqual({ '': [1] });
  });
});

describe('refused by one sentence', () => {
  test.each([
    ['', /neither a list nor an object/],
    ['3', /neither a list nor an object/],
    ['[1] 2', /something follows its end/],
    ['[1', /ends within a list/],
    ['[1,', /ends within a list/],
    ['[1}', /closed by another bracket/],
    ['[,1]', /beside a comma|not valid JSON/],
    ['{"images":[1],"images":[2]}', /two members "images"/],
    ['{"images":{}}', /"images" is no list/],
    ['{"images"}', /not followed by a value/],
    ['{"a":1 "images":[]}', /not valid JSON/],
    ['{"images":[]', /comma is missing/],
    ['{"a":}', /a value is missing/],
    ['{images:[]}', /name of a member is missing/],
    [`[${'['.repeat(600)}`, /nested more than 500 times/],
  ])('%s', async (text, message) => {
    for (const chunkBytes of [1, 7, 1000]) {
      const failure = await read(text, chunkBytes, { lists: ['images'] }).catch((error: unknown) => error);
      expect(failure).toBeInstanceOf(InputError);
      expect(String(failure)).toMatch(message);
    }
  });

  test('a file that does not exist, and one that is no UTF-8', async () => {
    const missing = readJsonLists(join(root, 'missing.json'), { parse });
    await expect(missing.next()).rejects.toThrow(UsageError);
    await expect(read(Uint8Array.of(0x5b, 0x22, 0xff, 0x22, 0x5d), 2)).rejects.toThrow(/not UTF-8/);
  });

  test('an item that is larger than any that is real', async () => {
    const long = `["${'x'.repeat(1 << 28)}"]`;
    await expect(read(long, 1 << 26)).rejects.toThrow(/one item has more than/);
  });
});

test('null is as if the member were not there', async () => {
  expect(await read('{"images":null,"boxes":[]}', 4, { lists: ['images', 'boxes'] })).toEqual({ boxes: [] });
});

test('reading stops at a signal, and the file is closed when the caller stops', async () => {
  await writeFile(path, JSON.stringify(Array.from({ length: 1000 }, (_, index) => index)));
  const aborted = AbortSignal.abort(new Error('stopped'));
  await expect(readJsonLists(path, { parse, signal: aborted }).next()).rejects.toThrow('stopped');
  for await (const { items } of readJsonLists(path, { parse, chunkBytes: 100 })) {
    expect(items.length).toBeGreaterThan(0);
    break;
  }
});
