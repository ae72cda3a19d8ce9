/** A result is written to what its path means: through links, into devices, with the mode of the file that it replaces. */
import { execFileSync, spawn, spawnSync } from 'node:child_process';
import {
  chmod,
  lstat,
  mkdir,
  mkdtemp,
  readdir,
  readFile,
  rm,
  stat,
  symlink,
  utimes,
  writeFile,
} from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { text } from 'node:stream/consumers';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { writeAtomic } from './files.ts';
import { temporaryBeside } from './temporary.ts';

let folder: string;
const at = (...parts: string[]) => join(folder, ...parts);

beforeAll(async () => {
  folder = await mkdtemp(join(tmpdir(), 'dino8-place-'));
});
afterAll(() => rm(folder, { recursive: true }));

describe.skipIf(process.platform === 'win32')('writeAtomic', () => {
  test('writes the file that a chain of links names, and the links stay', async () => {
    await mkdir(at('data'));
    await writeFile(at('data', 'target.json'), 'old');
    await symlink('target.json', at('data', 'second.json'));
    await symlink(join('data', 'second.json'), at('first.json'));
    await writeAtomic(at('first.json'), 'new');
    expect((await lstat(at('first.json'))).isSymbolicLink()).toBe(true);
    expect((await lstat(at('data', 'second.json'))).isSymbolicLink()).toBe(true);
    expect(await readFile(at('data', 'target.json'), 'utf8')).toBe('new');
  });

  test('writes the file that a link names and that does not exist yet', async () => {
    await symlink(at('later.json'), at('promise.json'));
    await writeAtomic(at('promise.json'), 'new');
    expect((await lstat(at('promise.json'))).isSymbolicLink()).toBe(true);
    expect(await readFile(at('later.json'), 'utf8')).toBe('new');
  });

  test('refuses links that lead in a circle', async () => {
    await symlink('b.json', at('a.json'));
    await symlink('a.json', at('b.json'));
    await expect(writeAtomic(at('a.json'), 'x')).rejects.toThrow(
      /a\.json runs through symbolic links that lead in a circle/,
    );
  });

  test('keeps the mode of a file', async () => {
    await writeFile(at('mode.json'), 'old');
    await chmod(at('mode.json'), 0o640);
    await writeAtomic(at('mode.json'), 'new');
    expect((await stat(at('mode.json'))).mode & 0o7777).toBe(0o640);
  });

  test('writes into a named pipe', async () => {
    execFileSync('mkfifo', [at('pipe.json')]);
    const read = readFile(at('pipe.json'), 'utf8');
    await writeAtomic(at('pipe.json'), 'through the pipe');
    expect(await read).toBe('through the pipe');
    expect((await lstat(at('pipe.json'))).isFIFO()).toBe(true);
  });

  test('waits for the reader of a named pipe, so that nothing is lost', async () => {
    execFileSync('mkfifo', [at('late.json')]);
    const written = writeAtomic(at('late.json'), 'through the pipe');
    // The reader of another program, which comes late.
    const reader = spawn('sh', ['-c', 'sleep 0.2; exec cat "$0"', at('late.json')], {
      stdio: ['ignore', 'pipe', 'ignore'],
    });
    expect(await text(reader.stdout)).toBe('through the pipe');
    await written;
  });

  test('says that the reader of a named pipe has gone', async () => {
    execFileSync('mkfifo', [at('short.json')]);
    spawn('head', ['-c', '10', at('short.json')], { stdio: 'ignore' });
    await expect(writeAtomic(at('short.json'), 'x'.repeat(1_000_000))).rejects.toThrow(
      /the reader of this pipe has gone/,
    );
  });

  test('writes into a device, which stays', async (context) => {
    // A null device of its own, so that a mistake costs nothing.
    if (spawnSync('mknod', [at('null'), 'c', '1', '3']).status !== 0) return context.skip();
    await writeAtomic(at('null'), 'x').catch((error: unknown) => {
      // Temporary folders are often mounted without devices.
      if (!/permission denied/.test(String(error))) throw error;
    });
    expect((await lstat(at('null'))).isCharacterDevice()).toBe(true);
  });

  test('takes a name of 255 bytes', async () => {
    const name = `${'n'.repeat(250)}.json`;
    await writeAtomic(at(name), 'x');
    expect(await readFile(at(name), 'utf8')).toBe('x');
  });

  test('removes what dead processes left, and nothing else', async () => {
    await mkdir(at('swept'));
    const dead = spawnSync(process.execPath, ['-e', '0']).pid;
    const named = (pid: number) => temporaryBeside(at('swept', 'x.json')).replace(`.${process.pid}.`, `.${pid}.`);
    const [left, alive, foreign] = [named(dead), named(process.ppid), at('swept', `.x.json.${dead}.tmp`)];
    for (const path of [left, alive, foreign]) await writeFile(path, 'unfinished');
    await utimes(left, 0, 0);
    // It has no writer, for whom a reader would wait.
    const pipe = named(dead);
    execFileSync('mkfifo', [pipe]);
    await writeAtomic(at('swept', 'y.json'), 'new');
    const names = (await readdir(at('swept'))).map((name) => at('swept', name));
    expect(names.toSorted()).toEqual([alive, foreign, at('swept', 'y.json')].toSorted());
  });
});
