/** Paths that no file system takes are refused in sentences; they come from files that name other files. */
import { mkdir, mkdtemp, rm, symlink, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { Dino8Error } from './errors.ts';
import { readBytes, sizeOf } from './files.ts';

let folder: string;

beforeAll(async () => {
  folder = await mkdtemp(join(tmpdir(), 'dino8-files-'));
});
afterAll(() => rm(folder, { recursive: true }));

test.each([
  ['a\0b', /a\\u0000b is no path: it has a null character\.$/],
  ['x'.repeat(300), /x is a longer name than the file system takes; check the path\.$/],
])('%j', async (name, message) => {
  await expect(readBytes(join(folder, name))).rejects.toThrow(Dino8Error);
  await expect(readBytes(join(folder, name))).rejects.toThrow(message);
});

test.skipIf(process.platform === 'win32')('links in a circle', async () => {
  await symlink('circle', join(folder, 'circle'));
  await expect(readBytes(join(folder, 'circle'))).rejects.toThrow(/runs through symbolic links that lead in a circle/);
});

test.skipIf(process.platform === 'win32')(
  'the size of a folder is that of its files, wherever its links lead',
  async () => {
    await mkdir(join(folder, 'sized', 'inside'), { recursive: true });
    await writeFile(join(folder, 'sized', 'a'), 'four');
    await writeFile(join(folder, 'sized', 'inside', 'b'), 'seven..');
    await symlink('a', join(folder, 'sized', 'again'));
    await symlink('nothing', join(folder, 'sized', 'broken'));
    // Two links to the folder itself are followed 2^40 ways before the system stops.
    for (const name of ['one', 'two']) await symlink('.', join(folder, 'sized', name));
    expect(await sizeOf(join(folder, 'sized'))).toBe(4 + 7 + 4);
    await expect(sizeOf(join(folder, 'none'))).rejects.toThrow(/does not exist/);
  },
);
