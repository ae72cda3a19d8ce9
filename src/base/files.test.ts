/** Paths that no file system takes are refused in sentences; they come from files that name other files. */
import { mkdtemp, rm, symlink } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { Dino8Error } from './errors.ts';
import { readBytes } from './files.ts';

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
