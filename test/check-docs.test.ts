/** `npm run docs:check` finds a planted stale table, a table that nobody made, and one that was changed by hand. */
import { mkdir, mkdtemp, readFile, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { beforeEach, expect, test } from 'vitest';

/** A script, which has no types. */
const SCRIPT = '../scripts/check-docs.mjs';
const { blockOf, checkDocs, hashOf, keepOld } = await import(SCRIPT);

const TABLE = '| model | time |\n|---|---|\n| a | 1.25 s |\n| b | 2.50 s |\n| c | 3.75 s |\n';
const SOURCE = '// why\nexport const speed = 1;\n';
let root: string;
const at = (name: string) => join(root, name);
const document = (table: string, before = '') => `# Times\n\n${before}<!-- measured: times -->\n${table}`;

beforeEach(async () => {
  root = await mkdtemp(join(tmpdir(), 'dino8-docs-'));
  await mkdir(at('docs'));
  await mkdir(at('src'));
  await writeFile(at('src/fast.ts'), SOURCE);
  await writeFile(at('docs/times.md'), document(TABLE));
  const entry = {
    in: 'docs/times.md',
    command: 'npm run bench',
    of: ['speed'],
    measured: 'abc1234 (2026-01-01)',
    sources: hashOf(['src/fast.ts'], () => Buffer.from(SOURCE)),
    table: hashOf(['table'], () => Buffer.from(blockOf(document(TABLE), 'times'))),
  };
  const content = { purposes: { speed: ['src/**/*.ts'] }, tables: { times: entry } };
  await writeFile(at('docs/measured.json'), JSON.stringify(content));
});

test('a table whose code has not changed is fine, comments and tests aside', async () => {
  await writeFile(at('src/fast.ts'), `/* another\n reason */ ${SOURCE}`);
  await writeFile(at('src/fast.test.ts'), 'a test');
  expect(checkDocs(root)).toEqual({ problems: [], notes: [] });
});

test('a stale table is named with the command that makes it again', async () => {
  await writeFile(at('src/fast.ts'), 'export const speed = 2;\n');
  const { problems } = checkDocs(root);
  expect(problems).toHaveLength(1);
  expect(problems[0]).toMatch(/docs\/times\.md: the table times is older than the code.*`npm run bench`/);
});

test('only a stale table that is kept for a reason, and says by which build it was measured, is no error', async () => {
  await writeFile(at('src/fast.ts'), 'export const speed = 2;\n');
  await writeFile(at('docs/times.md'), document(TABLE, 'Measured at abc1234 (2026-01-01).\n\n'));
  expect(checkDocs(root).problems).toEqual([expect.stringContaining('older than the code')]);
  await writeFile(at('docs/times.md'), document(TABLE));
  keepOld(root, 'times', 'another processor');
  expect(await readFile(at('docs/times.md'), 'utf8')).toBe(document(TABLE, 'Measured at abc1234 (2026-01-01).\n\n'));
  expect(checkDocs(root)).toMatchObject({ problems: [], notes: [expect.stringMatching(/times .*another processor/)] });
  await writeFile(at('docs/times.md'), document(TABLE));
  expect(checkDocs(root).problems).toEqual([expect.stringContaining('does not say so')]);
  await writeFile(at('docs/times.md'), document(TABLE, 'Measured at 1234567 (2026-01-01).\n\n'));
  expect(checkDocs(root).problems).toEqual([expect.stringMatching(/says that it is of 1234567.*is of abc1234/)]);
});

test('a figure that was changed by hand, and a table without an entry, are found', async () => {
  await writeFile(at('docs/times.md'), document(TABLE.replace('1.25', '0.25')));
  await writeFile(at('README.md'), `# New\n\n${TABLE}`);
  expect(checkDocs(root).problems).toEqual([
    expect.stringContaining('was changed by hand'),
    expect.stringMatching(/README\.md: the table "\| model \| time \|" has measured figures and no entry/),
  ]);
});
