// Runs all tests several times in a row on a machine whose load is kept high: no test may depend on how fast the machine
// is. The load is what the operating system counts: the tests themselves, whatever else runs, and processes that do
// nothing but compute, which are stopped while the load is higher than it has to be. Prints the mean load of each run,
// and ends at the first run that fails.
//   node scripts/test-under-load.mjs [runs] [load] [test files at once]
import { spawn } from 'node:child_process';
import { availableParallelism, loadavg } from 'node:os';

const [runs, wanted, workers] = [process.argv[2] ?? 10, process.argv[3] ?? 8, process.argv[4] ?? 2].map(Number);
const loops = Array.from({ length: wanted }, () => spawn(process.execPath, ['-e', 'for (;;);'], { stdio: 'ignore' }));
const signalLoops = (signal) => {
  for (const loop of loops) loop.kill(signal);
};
process.on('exit', () => signalLoops('SIGKILL'));
for (const signal of ['SIGINT', 'SIGTERM']) process.on(signal, () => process.exit(1));

console.log(
  `${runs} runs at a load of ${wanted}, ${workers} test files at once, on ${availableParallelism()} processors`,
);
for (let run = 1; run <= runs; run++) {
  const start = performance.now();
  const { status, output, load } = await runTests();
  const minutes = ((performance.now() - start) / 60_000).toFixed(1);
  const summary = output.match(/Tests {2}.*/)?.[0] ?? 'no summary';
  console.log(
    `run ${run}: ${status === 0 ? 'passed' : 'FAILED'} in ${minutes} min at a mean load of ${load.toFixed(1)}; ${summary}`,
  );
  if (status !== 0) {
    console.log(output);
    process.exit(1);
  }
}
process.exit(0);

/** The exit status and the output of one run of all tests, and the mean load while it ran. */
async function runTests() {
  const tests = spawn('npx', ['vitest', 'run', '--reporter=dot', `--maxWorkers=${workers}`], {
    stdio: ['ignore', 'pipe', 'inherit'],
    env: { ...process.env, NO_COLOR: '1' },
  });
  const chunks = [];
  tests.stdout.on('data', (chunk) => chunks.push(chunk));
  const loads = [];
  const governor = setInterval(() => {
    const [load] = loadavg(); // of the last minute
    loads.push(load);
    signalLoops(load > wanted + 1 ? 'SIGSTOP' : 'SIGCONT');
  }, 5000);
  const status = await new Promise((resolve) => tests.on('close', resolve));
  clearInterval(governor);
  return {
    status,
    output: Buffer.concat(chunks).toString(),
    load: loads.reduce((sum, load) => sum + load, 0) / loads.length,
  };
}
