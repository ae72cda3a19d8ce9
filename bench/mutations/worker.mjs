// Opens mutated files, one after another, in a process that may die of it: the parent (../mutations.mjs) says which. It writes
// a byte for each case into a file, before, during and after it, so that the parent knows at which case the process died.
import { mkdtempSync, openSync, writeSync } from 'node:fs';
import { join } from 'node:path';
import { setImmediate } from 'node:timers/promises';
import { caseOf, kindOf } from './cases.mjs';
import { faultOf, faultOfText } from './faults.mjs';
import { KINDS, prepare } from './kinds.mjs';
import { STATE } from './state.mjs';

const [prepared, record] = process.argv.slice(2);

async function work({ kinds, seed, first, last, most, replacedAt }) {
  const folder = mkdtempSync(join(prepared, 'worker-'));
  const file = openSync(record, 'r+');
  const asides = [];
  // Node.js prints a warning as it is, whoever gave it.
  process.on('warning', ({ name, message }) =>
    asides.push(name === 'Dino8Warning' ? faultOfText(message) : `a warning of a library: ${message}`),
  );
  process.on('unhandledRejection', (error) => asides.push(`nobody waits for: ${error?.stack ?? error}`));
  for (let number = first; number < last; number++) {
    const write = (state) => writeSync(file, Uint8Array.of(state), 0, 1, number - first);
    write(STATE.isBegun);
    asides.length = 0;
    const kind = kindOf(kinds, seed, number);
    const { bytes, random } = caseOf(kind, seed, number, prepared);
    let state = STATE.read;
    let isInRuntime = false;
    const enterRuntime = () => {
      isInRuntime = true;
      write(STATE.isInRuntime);
    };
    try {
      await KINDS[kind].open(bytes, { folder, prepared, random, enterRuntime });
    } catch (error) {
      state = STATE.refused;
      asides.push(faultOf(error));
    }
    await setImmediate();
    const memory = process.resourceUsage().maxRSS * 1024;
    const isTooLarge = memory > most;
    // What ONNX Runtime takes for a model of a stranger is not dino8's to bound.
    if (isTooLarge && !isInRuntime) asides.push(`${(memory / 1e6).toFixed(0)} MB of memory`);
    write(isTooLarge && isInRuntime ? STATE.tooLarge : state);
    const fault = asides.find((each) => each !== undefined);
    if (fault !== undefined) process.send({ number, fault });
    if (isTooLarge || process.memoryUsage.rss() > replacedAt) break;
  }
  process.disconnect();
}

process.on('disconnect', () => process.exit());
if (record === undefined) await prepare(prepared).then(() => process.disconnect());
else process.on('message', work);
