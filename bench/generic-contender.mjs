// One model in a process of its own, on plain ONNX Runtime: loads it, runs it on one array, prints one line of JSON.
// usage: generic-contender.mjs MODEL INPUT.npy RUNS THREADS
import { readFileSync } from 'node:fs';
import { Session } from '../dist/runtime.mjs';
import { readArray } from './numpy-file.mjs';

const [model, input, runs, threads] = process.argv.slice(2);
const start = performance.now();
const session = await Session.create(model, { threads: Number(threads) });
const loadSeconds = (performance.now() - start) / 1000;
const feeds = { x: readArray(input) };
for (let run = 0; run < 2; run++) (await session.run(feeds)).dispose();
const seconds = [];
for (let run = 0; run < Number(runs); run++) {
  const before = performance.now();
  (await session.run(feeds)).dispose();
  seconds.push((performance.now() - before) / 1000);
}
await session.close();
const peak = Number(readFileSync('/proc/self/status', 'utf8').match(/VmHWM:\s+(\d+)/)?.[1] ?? 0) / 1024;
console.log(JSON.stringify({ load_s: loadSeconds, run_s: seconds, peak_rss_mb: Math.round(peak) }));
