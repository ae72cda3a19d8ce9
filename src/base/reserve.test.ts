/** State on disk belongs to one process, as long as that lives. */
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { access, mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { reserve } from './reserve.ts';

let folder: string;
beforeAll(async () => {
  folder = await mkdtemp(join(tmpdir(), 'dino8-reserve-'));
});
afterAll(() => rm(folder, { recursive: true }));

/** Another program that holds a lock on a file, by the command of the system: somebody else's implementation of the lock. */
async function otherOwner(path: string) {
  await writeFile(path, '12345\n');
  // It ends with this process, which closes its input.
  const script = 'exec 9>>"$0"; flock -n 9 && echo locked && read _';
  const child = spawn('sh', ['-c', script, path], { stdio: ['pipe', 'pipe', 'ignore'] });
  const ended = once(child, 'exit').then(() => false);
  const isLocked = await Promise.race([once(child.stdout, 'data').then(() => true), ended]);
  return isLocked ? child : undefined;
}

test.skipIf(process.platform !== 'linux')(
  'a second process is refused with the number of the first',
  async (context) => {
    const state = join(folder, 'state');
    const owner = await otherOwner(`${state}.lock`);
    if (!owner) return context.skip();
    await expect(reserve(state)).rejects.toThrow(/state is in use by the dino8 process 12345; wait/);
    const ended = once(owner, 'exit');
    owner.kill('SIGKILL');
    await ended;
  },
);

test('a lock file without an owner is taken over, and goes away', async () => {
  const state = join(folder, 'left');
  await writeFile(`${state}.lock`, '4194304\n');
  const reservation = await reserve(state);
  await reservation[Symbol.asyncDispose]();
  await expect(access(`${state}.lock`)).rejects.toThrow(/ENOENT/);
});

test('the same process may reserve a place again', async () => {
  const state = join(folder, 'same');
  const [first, second] = await Promise.all([reserve(state), reserve(state)]);
  await first[Symbol.asyncDispose]();
  await access(`${state}.lock`);
  await second[Symbol.asyncDispose]();
  await expect(access(`${state}.lock`)).rejects.toThrow(/ENOENT/);
});

test('many reservations, one after another, leave one listener of the end of the process', async () => {
  const before = process.listenerCount('exit');
  for (let count = 0; count < 20; count++) await (await reserve(join(folder, `turn-${count}`)))[Symbol.asyncDispose]();
  expect(process.listenerCount('exit')).toBeLessThanOrEqual(before + 1);
});
