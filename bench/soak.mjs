// A long run with faults: detect, calibrate and eval in a loop in one process, with pictures that are damaged, a disk that is
// full, commands that are killed, and a clock that jumps. It reports the slope of memory, file handles, and whether results
// stay equal to the bit. It measures the built dist/:
//   node --expose-gc bench/soak.mjs [--minutes 60] [--seed 1]
import { spawn, spawnSync } from 'node:child_process';
import { createHash } from 'node:crypto';
import { once } from 'node:events';
import { copyFile, mkdir, mkdtemp, readdir, readFile, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { fileURLToPath } from 'node:url';
import { entry, numberOption, seededRandom } from './commands.mjs';

const root = fileURLToPath(new URL('..', import.meta.url));
const { calibrate, Detector, Dino8Error, evaluate, readImage, readPackage } = await import(
  join(root, 'dist/index.mjs')
);
const minutes = numberOption('minutes', 60);
const random = seededRandom(numberOption('seed', 1));
const folder = await mkdtemp(join(tmpdir(), 'dino8-soak-'));
const nano = join(root, 'assets/nano');
const val = join(root, 'assets/shapes/val');
const calib = join(root, 'assets/shapes/calib');
const picture = join(val, '000082.jpg');
const hash = (value) => createHash('sha256').update(value).digest('hex');

/** A disk of 64 kB, for the administrator of a machine with tmpfs; elsewhere a device that is always full. */
async function fullDisk() {
  const disk = join(folder, 'disk');
  await mkdir(disk);
  const { status } = spawnSync('mount', ['-t', 'tmpfs', '-o', 'size=64k', 'tmpfs', disk], { stdio: 'ignore' });
  return status === 0
    ? { path: join(disk, 'result.json'), unmount: () => spawnSync('umount', [disk]) }
    : { path: '/dev/full', unmount: () => undefined };
}

const disk = await fullDisk();
const detector = await Detector.create(await readPackage(nano), { threads: 2 });
const prompt = await detector.encodePrompt(['red circle', 'white star']);
const pictureBytes = await readFile(picture);

/** Expects a typed error of one line. */
async function expectError(work) {
  try {
    await work();
  } catch (error) {
    if (error instanceof Dino8Error && !/\n/.test(error.message)) return;
    throw error;
  }
  throw new Error('nothing was refused');
}

async function killedCalibration() {
  const output = join(folder, 'killed.json');
  const args = ['calibrate', nano, calib, '--images', '8', '--threads', '2', '-o', output];
  const child = spawn(process.execPath, [entry, ...args], { stdio: 'ignore' });
  const ended = once(child, 'exit');
  await Promise.race([ended, sleep(random() * 4000)]);
  child.kill('SIGKILL');
  await ended;
  await calibrate({ model: nano, dataset: calib, images: 8, threads: 2, output });
  return hash(await readFile(output));
}

/** Each kind of work; the result is the same in every round. */
const WORK = {
  detect: async () => hash(JSON.stringify(await detector.detect(await readImage(picture), prompt))),
  'detect after an abort': async () => {
    const controller = new AbortController();
    const stopped = detector.detect(await readImage(picture), prompt, {}, controller.signal).catch(() => undefined);
    controller.abort();
    await stopped;
    return hash(JSON.stringify(await detector.detect(await readImage(picture), prompt)));
  },
  calibrate: async () => {
    const output = join(folder, 'statistics.json');
    await calibrate({ model: nano, dataset: calib, images: 8, threads: 2, output });
    return hash(await readFile(output));
  },
  eval: async () => {
    const { figures } = await evaluate({ model: nano, dataset: val, images: 8, threads: 2 });
    return hash(JSON.stringify(figures));
  },
  'a damaged picture': async () => {
    const path = join(folder, 'damaged.jpg');
    const bytes = Buffer.from(pictureBytes);
    for (let count = 0; count < 5; count++) bytes[Math.floor(random() * 64)] = Math.floor(random() * 256);
    await writeFile(path, bytes.subarray(0, 100 + Math.floor(random() * 200)));
    await expectError(() => readImage(path));
    return 'refused';
  },
  'a full disk': async () => {
    const output = disk.path;
    await expectError(() => calibrate({ model: nano, dataset: calib, images: 2, threads: 2, output }));
    return 'refused';
  },
  'a killed command': killedCalibration,
  'a clock that jumps': async () => {
    // Only this process sees it: the clock of the machine is not ours to set.
    const { now } = Date;
    const jump = (random() - 0.5) * 1e12;
    Date.now = () => now() + jump;
    try {
      return await WORK.calibrate();
    } finally {
      Date.now = now;
    }
  },
};

async function fileHandles() {
  return (await readdir('/proc/self/fd').catch(() => [])).length;
}

/** What memory may grow by in megabytes a minute, and the file handles: a slope that measuring alone does not make. */
const [MOST_GROWTH, MOST_HANDLES] = [1, 0.1];

/** The slope of a straight line through points, by least squares. */
function slope(points) {
  const mean = (values) => values.reduce((sum, value) => sum + value, 0) / values.length;
  const [mx, my] = [mean(points.map(([x]) => x)), mean(points.map(([, y]) => y))];
  const [xy, xx] = points.reduce(([a, b], [x, y]) => [a + (x - mx) * (y - my), b + (x - mx) ** 2], [0, 0]);
  return xx > 0 ? xy / xx : 0;
}

await copyFile(picture, join(folder, 'copy.jpg'));
const start = performance.now();
const elapsed = () => (performance.now() - start) / 60_000;
const memory = [];
const handles = [];
const first = new Map();
const counts = new Map();
let different = 0;
let rounds = 0;
while (elapsed() < minutes) {
  for (const [name, work] of Object.entries(WORK)) {
    const result = await work();
    counts.set(name, (counts.get(name) ?? 0) + 1);
    if (!first.has(name)) first.set(name, result);
    if (first.get(name) !== result) {
      different++;
      console.log(`${name}: another result in round ${rounds}`);
    }
  }
  rounds++;
  globalThis.gc?.();
  memory.push([elapsed(), process.memoryUsage.rss() / 1e6]);
  handles.push([elapsed(), await fileHandles()]);
  if (rounds % 20 === 0)
    console.log(`${elapsed().toFixed(1)} min: ${rounds} rounds, ${memory.at(-1)[1].toFixed(0)} MB`);
}
await detector.close();
disk.unmount();
// Caches fill in the first fifth.
const settled = (points) => points.slice(Math.floor(points.length / 5));
const half = settled(memory)
  .map(([, value]) => value)
  .toSorted((a, b) => a - b);
console.log(
  `${rounds} rounds in ${elapsed().toFixed(1)} minutes: ${[...counts].map(([name, count]) => `${count} × ${name}`).join(', ')}`,
);
console.log(
  `memory: median ${half[Math.floor(half.length / 2)]?.toFixed(0)} MB, ${slope(settled(memory)).toFixed(2)} MB a minute`,
);
console.log(
  `file handles: ${handles[0]?.[1]} at the start, ${handles.at(-1)?.[1]} at the end, ${slope(settled(handles)).toFixed(3)} a minute`,
);
console.log(`results: ${different === 0 ? 'all equal to the bit' : `${different} different`}`);
const left = (await readdir(folder, { recursive: true })).filter((name) => /\.(tmp|lock|partial)$/.test(name));
console.log(`files left: ${left.length === 0 ? 'none' : left.join(', ')}`);
await rm(folder, { recursive: true });
const grows = slope(settled(memory)) > MOST_GROWTH || slope(settled(handles)) > MOST_HANDLES;
process.exitCode = different > 0 || left.length > 0 || grows ? 1 : 0;
