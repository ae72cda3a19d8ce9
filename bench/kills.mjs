// Kills every command that writes, at random and at chosen moments, runs it again, and compares the results byte by byte with
// those of a run that was not killed:
//   node bench/kills.mjs [--kills 500] [--seed 1]
// Chosen moments are calls of node:fs in the process that works: a module that is loaded before the command kills it there. It
// kills before or after a file gets its name, between two files of a folder, and in the middle of a line of a journal.
import { spawn } from 'node:child_process';
import { createHash } from 'node:crypto';
import { once } from 'node:events';
import { mkdir, mkdtemp, readdir, readFile, rm, stat } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join, relative } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { entry, numberOption, seededRandom, WRITING } from './commands.mjs';

const kills = numberOption('kills', 500);
const random = seededRandom(numberOption('seed', 1));
const base = await mkdtemp(join(tmpdir(), 'dino8-kills-'));

/** A module that ends its process at the given call: before it, after it, or (a write) when half of the bytes are on disk. */
function killAt({ call, count, when }) {
  const script = `
    import fs from 'node:fs';
    import { syncBuiltinESMExports } from 'node:module';
    let left = ${count};
    const end = () => process.kill(process.pid, 'SIGKILL');
    const original = fs.promises[${JSON.stringify(call)}];
    fs.promises[${JSON.stringify(call)}] = async (...args) => {
      if (!String(args[0]).includes(process.env.KILL_BELOW) || --left > 0) return original(...args);
      if (${JSON.stringify(when)} === 'half') fs.appendFileSync(args[0], String(args[1]).slice(0, String(args[1]).length / 2));
      if (${JSON.stringify(when)} === 'after') await original(...args);
      end();
    };
    syncBuiltinESMExports();`;
  return ['--import', `data:text/javascript,${encodeURIComponent(script)}`];
}

const CHOSEN = [
  { call: 'rename', when: 'before' },
  { call: 'rename', when: 'after' },
  { call: 'unlink', when: 'before' },
  { call: 'unlink', when: 'after' },
  { call: 'open', when: 'after' },
  { call: 'appendFile', when: 'half' },
  { call: 'appendFile', when: 'after' },
];

async function runOnce(args, { before = [], after, below }) {
  const env = { ...process.env, KILL_BELOW: below };
  const child = spawn(process.execPath, [...before, entry, ...args], { stdio: ['ignore', 'ignore', 'pipe'], env });
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
  return {
    isKilled: signal === 'SIGKILL' || said.includes('SIGKILL'),
    code,
    said,
    milliseconds: performance.now() - start,
  };
}

/** The hash of every file in a folder, by its path; figures of time are left out of logs. */
async function contents(folder) {
  const hashes = {};
  for (const file of await readdir(folder, { recursive: true, withFileTypes: true })) {
    if (!file.isFile()) continue;
    const path = join(file.parentPath, file.name);
    const bytes = await readFile(path);
    const text = /log\.jsonl$/.test(path) ? bytes.toString().replace(/,"imagesPerSecond":[\d.]+/g, '') : bytes;
    hashes[relative(folder, path)] = createHash('sha256').update(text).digest('hex');
  }
  return hashes;
}

/** What is wrong with a folder after a kill: each file of a result must be that of the whole run, or of no run. */
function differences(found, whole) {
  const names = new Set([...Object.keys(found), ...Object.keys(whole)]);
  return [...names].filter((name) => found[name] !== whole[name]);
}

const figures = { kills: 0, ended: 0, wrong: 0 };
const names = Object.keys(WRITING);
const wholes = new Map();
for (const name of names) {
  const folder = join(base, name, 'whole');
  await mkdir(folder, { recursive: true });
  const { code, said, milliseconds } = await runOnce(WRITING[name](join(folder, 'result')), { below: folder });
  if (code !== 0) throw new Error(`${name} fails without a kill: ${said}`);
  wholes.set(name, { milliseconds, contents: await contents(folder) });
}

for (let index = 0; figures.kills < kills; index++) {
  const name = names[index % names.length];
  const whole = wholes.get(name);
  const folder = join(base, name, 'killed');
  await rm(folder, { recursive: true, force: true });
  await mkdir(folder);
  const args = WRITING[name](join(folder, 'result'));
  // Some runs are killed several times before one may end.
  for (let attempt = 0; attempt <= index % 3 && figures.kills < kills; attempt++) {
    const isChosen = random() < 0.6;
    const moment = CHOSEN[Math.floor(random() * CHOSEN.length)];
    const how = isChosen
      ? { before: killAt({ ...moment, count: 1 + Math.floor(random() * 6) }), below: folder }
      : { after: random() * whole.milliseconds, below: folder };
    const { isKilled, code, said } = await runOnce(args, how);
    if (isKilled) figures.kills++;
    else figures.ended++;
    if (!isKilled && code !== 0) {
      figures.wrong++;
      console.log(`${name} failed before it was killed (${JSON.stringify(how)}): ${said}`);
    }
  }
  const again = await runOnce(args, { below: folder });
  const wrong = again.code === 0 ? differences(await contents(folder), whole.contents) : ['the command fails'];
  if (wrong.length > 0) {
    figures.wrong++;
    console.log(`${name}, run ${index}: ${wrong.join(', ')}${again.code === 0 ? '' : `: ${again.said}`}`);
  }
  if (index % 25 === 24) console.log(`${figures.kills} kills, ${figures.wrong} wrong`);
}
console.log(
  `${figures.kills} kills over ${names.length} commands (${figures.ended} runs ended before their moment): ${figures.wrong} results differ from those of runs that were not killed, or have files left beside them.`,
);
await stat(base).then(() => rm(base, { recursive: true }));
process.exitCode = figures.wrong > 0 ? 1 : 0;
