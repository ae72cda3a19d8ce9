// Runs all tests several times in a row on a machine that is kept busy: no test may depend on how fast the machine is.
// The load comes from as many test files at once as asked for, and from processes that do nothing but compute. Prints
// the mean load of each run, as the operating system counts it, and stops at the first run that fails.
//   node scripts/test-under-load.mjs [runs] [computing processes] [test files at once]
import { spawn } from 'node:child_process';
import { availableParallelism, loadavg } from 'node:os';

const [runs, busy, workers] = [process.argv[2] ?? 10, process.argv[3] ?? 8, process.argv[4] ?? 2].map(Number);
const loops = Array.from({ length: busy }, () => spawn(process.execPath, ['-e', 'for (;;);'], { stdio: 'ignore' }));
process.on('exit', () => {
  for (const loop of loops) loop.kill('SIGKILL');
});
for (const signal of ['SIGINT', 'SIGTERM']) process.on(signal, () => process.exit(1));

console.log(
  `${runs} runs, ${workers} test files at once beside ${busy} computing processes, on ${availableParallelism()} processors`,
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

/** The exit status and the output of one run of all tests, and the mean of the load averages of one minute in it. */
async function runTests() {
  const tests = spawn('npx', ['vitest', 'run', '--reporter=dot', `--maxWorkers=${workers}`], {
    stdio: ['ignore', 'pipe', 'inherit'],
  });
  const chunks = [];
  tests.stdout.on('data', (chunk) => chunks.push(chunk));
  const loads = [];
  const sampling = setInterval(() => loads.push(loadavg()[0]), 5000);
  const status = await new Promise((resolve) => tests.on('close', resolve));
  clearInterval(sampling);
  return {
    status,
    output: Buffer.concat(chunks).toString(),
    load: loads.reduce((sum, load) => sum + load, 0) / loads.length,
  };
}
