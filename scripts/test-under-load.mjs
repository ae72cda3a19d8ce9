// Runs all tests several times in a row while other processes keep the processors busy: no test may depend on how fast
// the machine is. Stops at the first run that fails.
//   node scripts/test-under-load.mjs [runs] [busy processes]
import { spawn, spawnSync } from 'node:child_process';
import { availableParallelism, loadavg } from 'node:os';

const [runs, busy] = [process.argv[2] ?? 10, process.argv[3] ?? 8].map(Number);
const loops = Array.from({ length: busy }, () => spawn(process.execPath, ['-e', 'for (;;);'], { stdio: 'ignore' }));
process.on('exit', () => {
  for (const loop of loops) loop.kill('SIGKILL');
});
for (const signal of ['SIGINT', 'SIGTERM']) process.on(signal, () => process.exit(1));

console.log(`${runs} runs with ${busy} busy processes on ${availableParallelism()} processors`);
for (let run = 1; run <= runs; run++) {
  const start = performance.now();
  const { status, stdout } = spawnSync('npx', ['vitest', 'run', '--reporter=dot'], {
    encoding: 'utf8',
    maxBuffer: 1 << 28,
  });
  const minutes = ((performance.now() - start) / 60_000).toFixed(1);
  const summary = stdout.match(/Tests {2}.*/)?.[0] ?? 'no summary';
  console.log(
    `run ${run}: ${status === 0 ? 'passed' : 'FAILED'} in ${minutes} min at a load of ${loadavg()[0]?.toFixed(1)}; ${summary}`,
  );
  if (status !== 0) {
    console.log(stdout);
    process.exit(1);
  }
}
