// Runs `dino8 demo` from its beginning and makes the table of docs/performance.md of its results.
//
//   npm run bench:demo [-- --write]
import { execFileSync } from 'node:child_process';
import { mkdirSync, readFileSync } from 'node:fs';
import { availableParallelism } from 'node:os';
import { dirname, join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { estimate, points, signed, verdict } from './figures.mjs';
import { openTables, readArguments } from './write-table.mjs';

const root = join(dirname(fileURLToPath(import.meta.url)), '..');
const work = join(root, '.dino8', 'bench-demo');
const { values: options } = readArguments();
const tables = openTables(['demo'], {
  write: options.write,
  settings: { 'the number of threads': [process.env.DINO8_THREADS ?? availableParallelism(), 2] },
});
mkdirSync(work, { recursive: true });
const args = ['demo', '--fresh', '--overwrite', '--out', work, '--report', join(work, 'report.html')];
const start = performance.now();
execFileSync(process.execPath, [join(root, 'dist/cli.mjs'), ...args], { stdio: 'inherit' });
const minutes = (performance.now() - start) / 60_000;
const { variants, publishedSize } = JSON.parse(readFileSync(join(work, 'results.json'), 'utf8'));

const LABELS = { mixed: '`mixed`', full: '`full`', QAT: '`full`, trained for 40 steps on 256 images (QAT)' };
const megabytes = (bytes, digits = 0) =>
  `${(bytes / 1e6).toLocaleString('en-US', { minimumFractionDigits: digits, maximumFractionDigits: digits })} MB`;
const rows = variants.map(({ name, fileBytes, peakMemoryBytes, medianSeconds, roundSeconds, intervals, change }) => {
  const milliseconds = [medianSeconds, Math.min(...roundSeconds), Math.max(...roundSeconds)];
  const [median, low, high] = milliseconds.map((seconds) => (1000 * seconds).toFixed(1));
  const changed = change ? [estimate(change.AP, signed), verdict(change.AP)] : ['', ''];
  const file = megabytes(fileBytes, 1);
  return [
    LABELS[name] ?? name,
    file,
    megabytes(peakMemoryBytes),
    `${median} ms (${low}–${high})`,
    estimate(intervals.AP, points),
    ...changed,
  ];
});
if (!publishedSize) console.log('The published size was left out.');
for (const { name, fileBytes, peakMemoryBytes, medianSeconds, runSeconds } of publishedSize?.variants ?? []) {
  const range = `${Math.min(...runSeconds).toFixed(2)}–${Math.max(...runSeconds).toFixed(2)}`;
  const label = `published size at ${publishedSize.height}x${publishedSize.width}, ${name.replace('(fast)', '(`fast`)')}`;
  rows.push([
    label,
    megabytes(fileBytes),
    megabytes(peakMemoryBytes),
    `${medianSeconds.toFixed(2)} s (${range})`,
    '',
    '',
    '',
  ]);
}
console.log(`The demo took ${minutes.toFixed(1)} minutes.`);
if (publishedSize)
  tables.table('demo', ['', 'file', 'peak memory', 'median latency (rounds)', 'AP', 'change of AP', ''], rows);
tables.finish();
