/** A benchmark writes its tables and sentences, notes them for `npm run docs:check`, and refuses what is not the whole of them. */
import { execFileSync } from 'node:child_process';
import { mkdir, mkdtemp, readdir, readFile, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { beforeEach, expect, test } from 'vitest';

/** Scripts, which have no types. */
const [CHECK, WRITE] = ['../scripts/check-docs.mjs', '../bench/write-table.mjs'];
const { blockOf, checkDocs, hashOf } = await import(CHECK);
const { collectTables, processorName } = await import(WRITE);

const OLD = '| model | time |\n|---|---|\n| a | 1.25 s |\n';
const SENTENCE = 'The model takes 1.25 s.\n';
const PAGE = `# Times

Measured at abc1234 (2026-01-01).

<!-- measured: times -->
${OLD}
Between them.

<!-- measured: times-words -->
${SENTENCE}
<!-- measured: elsewhere -->
${OLD}
The end.
`;
const SOURCE = 'export const speed = 1;\n';
const NAMES = ['times', 'times-words', 'elsewhere'];
let root: string;
const at = (name: string) => join(root, name);
const page = () => readFile(at('docs/times.md'), 'utf8');
const open = (options: object) => collectTables(NAMES, { write: true, root, processor: 'this processor', ...options });
const fill = (tables: ReturnType<typeof open>) => {
  tables.table('times', ['model', 'time'], [['a', '0.50 s']]);
  tables.text('times-words', 'The model takes 0.50 s,\nwhich is $& less.');
};

beforeEach(async () => {
  root = await mkdtemp(join(tmpdir(), 'dino8-docs-'));
  for (const folder of ['docs', 'src']) await mkdir(at(folder));
  await writeFile(at('src/fast.ts'), SOURCE);
  await writeFile(at('docs/times.md'), PAGE);
  await writeFile(at('README.md'), '# New\n');
  const entryOf = (name: string, more: object) => ({
    in: 'docs/times.md',
    command: 'npm run bench -- --write',
    of: ['speed'],
    measured: 'abc1234 (2026-01-01)',
    sources: 'of another build',
    table: hashOf(['table'], () => Buffer.from(blockOf(PAGE, name))),
    ...more,
  });
  const tables = {
    times: entryOf('times', { processor: 'this processor', accepted: { at: 'abc1234', because: 'it was' } }),
    'times-words': entryOf('times-words', {}),
    elsewhere: entryOf('elsewhere', {
      processor: 'another processor',
      sources: hashOf(['src/fast.ts'], () => Buffer.from(SOURCE)),
    }),
  };
  await writeFile(at('docs/measured.json'), JSON.stringify({ purposes: { speed: ['src/*.ts'] }, tables }));
  const git = (...args: string[]) =>
    execFileSync('git', ['-c', 'user.name=a', '-c', 'user.email=a@example.com', ...args], { cwd: root });
  git('init', '--quiet');
  git('add', '.');
  git('commit', '--quiet', '--message', 'first');
});

test('the table and the sentence are replaced and noted; the table of another processor stays', async () => {
  const tables = open({});
  fill(tables);
  tables.table('elsewhere', ['model', 'time'], [['a', '9.99 s']]);
  tables.finish();
  expect(await page()).toBe(`# Times

<!-- measured: times -->
| model | time |
| --- | --- |
| a | 0.50 s |

Between them.

<!-- measured: times-words -->
The model takes 0.50 s,
which is $& less.

<!-- measured: elsewhere -->
${OLD}
The end.
`);
  expect(checkDocs(root)).toEqual({ problems: [], notes: [] });
  const { tables: entries } = JSON.parse(await readFile(at('docs/measured.json'), 'utf8'));
  const commit = execFileSync('git', ['log', '-1', '--format=%h (%cs)'], { cwd: root, encoding: 'utf8' }).trim();
  expect(entries.times).toMatchObject({ measured: commit });
  expect(entries.times).not.toHaveProperty('accepted');
  expect(entries.elsewhere).toMatchObject({ measured: 'abc1234 (2026-01-01)' });
  expect((await readdir(at('docs'))).sort()).toEqual(['measured.json', 'times.md']);

  await writeFile(at('docs/times.md'), (await page()).replace('takes 0.50 s,', 'takes 0.40 s,'));
  expect(checkDocs(root).problems).toEqual([expect.stringContaining('times-words was changed by hand')]);
});

test('what changed while the benchmark ran makes its tables stale', async () => {
  const tables = open({});
  await writeFile(at('src/fast.ts'), 'export const speed = 2;\n');
  fill(tables);
  tables.finish();
  expect(checkDocs(root).problems).toContainEqual(expect.stringContaining('the table times is older than the code'));
});

test('runs of other settings, of a part, or without what the tables need write nothing', async () => {
  expect(() => open({ settings: { IMAGES: [40, 500] } })).toThrow(/^--write: .*IMAGES 500, and this run has 40/);
  expect(() => open({ needs: { PYTHON: false } })).toThrow(/cannot be made without PYTHON\./);
  expect(() => collectTables(['elsewhere'], { write: true, root, processor: 'this processor' })).toThrow(
    /no table is of the processor this processor/,
  );
  expect(() => collectTables(['nowhere'], { write: true, root })).toThrow(/has no table nowhere/);
  const part = open({ settings: { IMAGES: ['500', 500] } });
  part.table('times', ['model', 'time'], [['a', '0.50 s']]);
  expect(() => part.finish()).toThrow(/did not make times-words; nothing was written/);
  const split = open({});
  fill(split);
  split.text('times-words', 'One paragraph.\n\nAnother one.');
  expect(() => split.finish()).toThrow(/times-words has a blank line/);
  const printed = collectTables(NAMES, { write: false, root, settings: { IMAGES: [40, 500] } });
  fill(printed);
  printed.finish();
  expect(await page()).toBe(PAGE);
});

test('processors of one name and different generations have different names', async () => {
  const path = at('cpuinfo');
  const info = (family: number) => `cpu family\t: ${family}\nmodel\t\t: 2\nmodel name\t: A processor\n`;
  await writeFile(path, info(26));
  expect(processorName(path)).toMatch(/, family 26, model 2$/);
  await writeFile(path, info(25));
  expect(processorName(path)).toMatch(/, family 25, model 2$/);
});
