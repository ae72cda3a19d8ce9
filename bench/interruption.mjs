// How long each command takes to end after a signal at a random moment, and with which code:
//   node bench/interruption.mjs [--times 5] [--seed 1] [--only demo,eval]
// With --only it tells each moment, with the last line that the command had written.
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { mkdtemp, rm } from 'node:fs/promises';
import { loadavg, tmpdir } from 'node:os';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { parseArgs } from 'node:util';
import { entry, numberOption, READING, seededRandom, WRITING, writeInputs } from './commands.mjs';

const CODES = { SIGINT: 130, SIGTERM: 143 };
const times = numberOption('times', 5);
const random = seededRandom(numberOption('seed', 1));
const folder = await mkdtemp(join(tmpdir(), 'dino8-interruption-'));
const inputs = await writeInputs(folder);
const { only } = parseArgs({ options: { only: { type: 'string' } }, strict: false }).values;
const commands = Object.entries({ ...WRITING, ...READING }).filter(([name]) => !only || only.split(',').includes(name));

async function runOnce(args, signal, after) {
  const child = spawn(process.execPath, [entry, ...args], { stdio: ['ignore', 'ignore', 'pipe'] });
  let said = '';
  child.stderr.on('data', (piece) => {
    said += piece;
  });
  const ended = once(child, 'close');
  const isRunning = after === undefined || (await Promise.race([ended.then(() => false), sleep(after, true)]));
  const start = performance.now();
  const before = said
    .trim()
    .split(/[\r\n]/)
    .at(-1);
  if (signal && isRunning) child.kill(signal);
  const [code] = await ended;
  return { code, said, before, isRunning, milliseconds: performance.now() - start };
}

let failures = 0;
console.log('command       signalled   ended before   slowest end   wrong');
for (const [name, of] of commands) {
  const whole = await runOnce(of(join(folder, `${name}-whole`), undefined, inputs));
  let [signalled, slowest, wrong] = [0, 0, 0];
  for (let index = 0; index < times; index++) {
    const signal = index % 2 === 0 ? 'SIGINT' : 'SIGTERM';
    const args = of(join(folder, `${name}-${index}`), undefined, inputs);
    const after = random() * whole.milliseconds;
    const { code, said, before, isRunning, milliseconds } = await runOnce(args, signal, after);
    if (!isRunning) continue;
    if (only)
      console.log(
        `  ${name}, ${signal} after ${(after / 1000).toFixed(1)} s: ${milliseconds.toFixed(0)} ms, load ${loadavg()[0]?.toFixed(1)} (${before})`,
      );
    signalled++;
    slowest = Math.max(slowest, milliseconds);
    // Before Node.js runs JavaScript, the signal has its default effect.
    const isRight = code === CODES[signal] ? said.includes('interrupted') : code === null && said === '';
    if (isRight && milliseconds < 2000) continue;
    wrong++;
    console.log(`  ${name}, ${signal}: code ${code} after ${milliseconds.toFixed(0)} ms: ${said}`);
  }
  failures += wrong;
  const cells = [
    `${signalled}`.padStart(9),
    `${times - signalled}`.padStart(14),
    `${slowest.toFixed(0)} ms`.padStart(13),
  ];
  console.log(name.padEnd(12), ...cells, `${wrong}`.padStart(7));
}
await rm(folder, { recursive: true });
process.exitCode = failures > 0 ? 1 : 0;
