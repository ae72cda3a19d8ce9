// Kills every command that writes, at random and at chosen moments, runs it again, and compares the results byte by byte with
// those of a run that was not killed:
//   node bench/kills.mjs [--kills 500] [--minutes 600] [--seed 1] [--only convert,train]
// Chosen moments are calls of node:fs in the process that works: a module that is loaded before the command kills it there. It
// kills when a half of a file's bytes or of a journal's line is written, before or after a file gets its name, and so between
// two files of a folder. A whole run tells which calls there are.
import { spawn } from 'node:child_process';
import { createHash } from 'node:crypto';
import { once } from 'node:events';
import { mkdir, mkdtemp, readdir, readFile, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join, relative } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { parseArgs } from 'node:util';
import { entry, numberOption, seededRandom, WRITING, writeInputs } from './commands.mjs';
import { writeSmallCheckpoint } from './small-checkpoint.mjs';

const kills = numberOption('kills', 500);
const end = performance.now() + numberOption('minutes', 600) * 60_000;
const random = seededRandom(numberOption('seed', 1));
const { only } = parseArgs({ options: { only: { type: 'string' } }, strict: false }).values;
const base = await mkdtemp(join(tmpdir(), 'dino8-kills-'));
const oneOf = (items) => items[Math.floor(random() * items.length)];

/** The calls at which a process can be killed, and when: before the call, after it, or when a half of the bytes is written. */
const MOMENTS = {
  open: ['after', 'half'],
  mkdir: ['after'],
  rename: ['before', 'after'],
  unlink: ['before', 'after'],
  truncate: ['before', 'after'],
  appendFile: ['before', 'half', 'after'],
};

/** The start of a module that sees the calls for paths below a folder. */
const watching = (folder, body) => {
  const script = `
    import fs from 'node:fs';
    import { syncBuiltinESMExports } from 'node:module';
    const seen = {};
    const end = () => process.kill(process.pid, 'SIGKILL');
    for (const name of ${JSON.stringify(Object.keys(MOMENTS))}) {
      const original = fs.promises[name];
      fs.promises[name] = async (...args) => {
        const isBelow = String(args[0]).startsWith(${JSON.stringify(folder)});
        // A file that is opened to be read does not change anything.
        if (!isBelow || (name === 'open' && !/[wa+]/.test(args[1] ?? 'r'))) return original(...args);
        seen[name] = (seen[name] ?? 0) + 1;
        ${body}
      };
    }
    syncBuiltinESMExports();`;
  return ['--import', `data:text/javascript,${encodeURIComponent(script)}`];
};

/** A module that writes into a file how often each call was made. */
const counting = (folder, file) =>
  watching(folder, `fs.writeFileSync(${JSON.stringify(file)}, JSON.stringify(seen)); return original(...args);`);

/** A module that kills the process at the call of this number. */
const killingAt = (folder, { call, number, when }) =>
  watching(
    folder,
    `if (name !== ${JSON.stringify(call)} || seen[name] !== ${number}) return original(...args);
     const when = ${JSON.stringify(when)};
     if (when === 'before') return end();
     if (when === 'half' && name === 'appendFile') {
       const bytes = Buffer.from(args[1]);
       fs.appendFileSync(args[0], bytes.subarray(0, bytes.length / 2));
       return end();
     }
     const result = await original(...args);
     if (when === 'after') return end();
     result.writev = async (pieces) => {
       const bytes = Buffer.from(pieces[0]);
       await result.write(bytes.subarray(0, bytes.length / 2));
       end();
     };
     return result;`,
  );

/** Commands that write into a new folder only: once their result is whole, they are not run again. */
const ONCE = ['export'];

/** Runs a command. @param after the milliseconds after which it is killed */
async function run(args, { before = [], after } = {}) {
  const child = spawn(process.execPath, [...before, entry, ...args], { stdio: ['ignore', 'ignore', 'pipe'] });
  let said = '';
  child.stderr.on('data', (piece) => {
    said += piece;
  });
  const ended = once(child, 'close');
  const start = performance.now();
  if (after !== undefined) {
    const isRunning = await Promise.race([ended.then(() => false), sleep(after, true)]);
    if (isRunning) child.kill('SIGKILL');
  }
  const [code, signal] = await ended;
  const isKilled = signal === 'SIGKILL' || said.includes('SIGKILL');
  return { isKilled, code, said, milliseconds: performance.now() - start };
}

/** Files that hold times, which differ from run to run: only whether they are there is compared. */
const TIMED = /(^|\/)(results\.json|report\.html|steps\.jsonl)$|\.yaml$/;

/** The hash of every file in a folder, by its path; figures of time are left out of logs. */
async function contents(folder) {
  const hashes = {};
  for (const file of await readdir(folder, { recursive: true, withFileTypes: true })) {
    if (!file.isFile()) continue;
    const path = join(file.parentPath, file.name);
    const bytes = await readFile(path);
    const text = /log\.jsonl$/.test(path) ? bytes.toString().replace(/,"imagesPerSecond":[\d.]+/g, '') : bytes;
    const name = relative(folder, path);
    hashes[name] = TIMED.test(name) ? 'is there' : createHash('sha256').update(text).digest('hex');
  }
  return hashes;
}

/** The files that differ from those of a whole run, are missing, or are left over. */
function differences(found, whole) {
  const names = new Set([...Object.keys(found), ...Object.keys(whole)]);
  return [...names].filter((name) => found[name] !== whole[name]);
}

/** The arguments of a command that writes into a folder. Reports name their own path, so that it is the same each time. */
const small = join(base, 'small');
await writeSmallCheckpoint(small);
const inputs = await writeInputs(base);
const argumentsOf = (name, folder) => WRITING[name](join(folder, 'result'), small, inputs);
const names = only ? only.split(',') : Object.keys(WRITING);
const wholes = new Map();
for (const name of names) {
  const folder = join(base, name);
  await mkdir(folder);
  const record = join(base, `${name}-calls.json`);
  const { code, said, milliseconds } = await run(argumentsOf(name, folder), { before: counting(folder, record) });
  if (code !== 0) throw new Error(`${name} fails without a kill: ${said}`);
  const calls = Object.entries(JSON.parse(await readFile(record, 'utf8')));
  const moments = calls.flatMap(([call, times]) => MOMENTS[call].map((when) => ({ call, times, when })));
  wholes.set(name, { milliseconds, moments, contents: await contents(folder) });
  console.log(
    `${name}: ${(milliseconds / 1000).toFixed(1)} s, ${calls.map(([call, times]) => `${times} × ${call}`).join(', ')}`,
  );
}

/** The next command: quick ones come more often, by the root of their time, so that no command takes most of the time. */
const runs = new Map(names.map((name) => [name, 0]));
function nextName() {
  const cost = (name) => (runs.get(name) + 1) * Math.sqrt(wholes.get(name).milliseconds);
  const name = names.reduce((best, each) => (cost(each) < cost(best) ? each : best));
  runs.set(name, runs.get(name) + 1);
  return name;
}

const figures = new Map(names.map((name) => [name, { random: 0, chosen: 0, 'ended before': 0, wrong: 0 }]));
let done = 0;
for (let index = 0; done < kills && performance.now() < end; index++) {
  const name = nextName();
  const { milliseconds, moments, contents: whole } = wholes.get(name);
  const count = figures.get(name);
  const folder = join(base, name);
  await rm(folder, { recursive: true });
  await mkdir(folder);
  const args = argumentsOf(name, folder);
  const isFinished = async () => ONCE.includes(name) && differences(await contents(folder), whole).length === 0;
  // Some runs are killed several times before one may end.
  for (let attempt = 0; attempt <= index % 4 && done < kills && !(await isFinished()); attempt++) {
    const isChosen = random() < 0.6;
    const { call, times, when } = oneOf(moments);
    const moment = { call, when, number: 1 + Math.floor(random() * times) };
    const how = isChosen ? { before: killingAt(folder, moment) } : { after: random() * milliseconds };
    const { isKilled, code, said } = await run(args, how);
    count[isKilled ? (isChosen ? 'chosen' : 'random') : 'ended before']++;
    if (isKilled) done++;
    else if (code !== 0) {
      count.wrong++;
      console.log(`${name} failed before it was killed (${isChosen ? JSON.stringify(moment) : how.after}): ${said}`);
    }
  }
  if (await isFinished()) continue;
  const again = await run(args);
  const wrong = again.code === 0 ? differences(await contents(folder), whole) : [`the command fails: ${again.said}`];
  if (wrong.length > 0) {
    count.wrong++;
    console.log(`${name}, run ${index}: ${wrong.join(', ')}`);
  }
  if (index % 20 === 19) console.log(`${done} kills`);
}
console.table(Object.fromEntries(figures));
const wrong = [...figures.values()].reduce((sum, count) => sum + count.wrong, 0);
console.log(
  `${done} kills over ${names.length} commands: ${wrong} results differ from those of runs that were not killed, or have files left beside them.`,
);
await rm(base, { recursive: true });
process.exitCode = wrong > 0 ? 1 : 0;
