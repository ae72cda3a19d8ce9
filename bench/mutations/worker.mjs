// Opens mutated files, one after another, in a process that may die of it: the parent (../mutations.mjs) says which.
import { mkdtempSync } from 'node:fs';
import { join } from 'node:path';
import { setImmediate } from 'node:timers/promises';
import { caseOf } from './cases.mjs';
import { faultOf, faultOfText } from './faults.mjs';
import { KINDS, prepare } from './kinds.mjs';

const [prepared, isPreparing] = process.argv.slice(2);

function work() {
  const folder = mkdtempSync(join(prepared, 'worker-'));
  const asides = [];
  // Node.js prints a warning as it is, whoever gave it.
  process.on('warning', ({ name, message }) =>
    asides.push(name === 'Dino8Warning' ? faultOfText(message) : `a warning of a library: ${message}`),
  );
  process.on('unhandledRejection', (error) => asides.push(`nobody waits for: ${error?.stack ?? error}`));
  const enterRuntime = () => process.send({ isInRuntime: true });
  process.on('disconnect', () => process.exit());
  process.on('message', async ({ kind, seed, number }) => {
    asides.length = 0;
    const { bytes, random } = caseOf(kind, seed, number, prepared);
    let outcome = 'read';
    try {
      await KINDS[kind].open(bytes, { folder, prepared, random, enterRuntime });
    } catch (error) {
      outcome = 'refused';
      asides.push(faultOf(error));
    }
    await setImmediate();
    const fault = asides.find((each) => each !== undefined);
    process.send({ outcome, fault, memory: process.resourceUsage().maxRSS * 1024 });
  });
  process.send({ isReady: true });
}

if (isPreparing) await prepare(prepared);
else work();
