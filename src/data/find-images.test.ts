import { copyFile, mkdir, mkdtemp, symlink, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join, relative } from 'node:path';
import { beforeAll, describe, expect, test } from 'vitest';
import { UsageError } from '../base/errors.ts';
import { packageRoot } from '../base/package-root.ts';
import { type FindImagesOptions, findImages } from './find-images.ts';

let folder: string;
const at = (name: string) => join(folder, name);
/** The paths that are found, relative to the folder. */
const find = async (name: string, options: FindImagesOptions = {}) =>
  (await findImages([at(name)], options)).map((path) => relative(folder, path));

beforeAll(async () => {
  folder = await mkdtemp(join(tmpdir(), 'dino8-find-'));
  for (const name of ['br', 'nest/a', 'nest/b[1]', 'texts', 'odd']) await mkdir(at(name), { recursive: true });
  for (const name of [
    'br/p1.png',
    'br/p2.png',
    'br/p10.png',
    'br/p[12].png',
    'br/star*.png',
    'nest/a/1.png',
    'nest/b[1]/2.JPG',
  ])
    await writeFile(at(name), '');
  for (const name of ['texts/readme.txt', 'odd/.hidden.jpg', 'odd/._x.jpg', 'odd/x.txt', 'odd/film.mp4'])
    await writeFile(at(name), 'text');
  await copyFile(join(packageRoot, 'test/fixtures/pictures/rgb.bmp'), at('odd/download'));
  await writeFile(at('odd/clip'), Buffer.from('\x1a\x45\xdf\xa3', 'latin1'));
  await symlink(at('br'), at('nest/link'));
  await symlink(at('nest'), at('nest/a/loop'));
});

describe('files, folders and patterns', () => {
  test('a folder has its pictures in natural order, by ending or content, without hidden ones and videos', async () => {
    expect(await find('br')).toEqual(['br/p[12].png', 'br/p1.png', 'br/p2.png', 'br/p10.png', 'br/star*.png']);
    expect(await find('odd')).toEqual(['odd/download']);
  });

  test('a name that exists is that file, and otherwise a pattern', async () => {
    expect(await find('br/p[12].png')).toEqual(['br/p[12].png']);
    expect(await find('br/star*.png')).toEqual(['br/star*.png']);
    expect(await find('br/p[1]*.png')).toEqual(['br/p1.png', 'br/p10.png']);
    expect(await find('br/p?.png')).toEqual(['br/p1.png', 'br/p2.png']);
    expect(await find('br/{p1,p2}.png')).toEqual(['br/p1.png', 'br/p2.png']);
    expect(await find('nest/b[1]/*.JPG')).toEqual(['nest/b[1]/2.JPG']);
  });

  test('subfolders are read by a pattern or by choice, through links, and loops end', async () => {
    expect(await find('nest/**/*.png')).toContain('nest/a/1.png');
    const found = await find('nest', { recursive: true });
    expect(found).toEqual(expect.arrayContaining(['nest/a/1.png', 'nest/b[1]/2.JPG', 'nest/link/p1.png']));
    expect(found.length).toBeLessThan(100);
    expect(await find('nest/**')).toEqual(found);
  });

  test('videos are matched by patterns where they are wanted, and named anywhere', async () => {
    expect(await find('odd/c*', { videos: true })).toEqual(['odd/clip']);
    await expect(find('odd/c*')).rejects.toThrow(/none is a picture/);
    expect(await find('odd/clip')).toEqual(['odd/clip']);
  });

  test('no picture is found twice', async () => {
    expect(await findImages([at('br/p1.png'), at('br/../br/p1.png'), at('br/p1*')])).toHaveLength(2);
  });
});

test.each([
  ['nest', /holds no pictures; its subfolders are read by the pattern ".*nest\/\*\*"/],
  ['texts', /holds no pictures/],
  ['texts/*', /matches files of which none is a picture/],
  ['br/*.webp', /matches no file/],
  ['none.jpg', /does not exist/],
])('%s is an error', async (name, message) => {
  await expect(find(name)).rejects.toThrow(UsageError);
  await expect(find(name)).rejects.toThrow(message);
});

test('a URL is an error that says what to do', async () => {
  await expect(findImages(['https://example.org/a.jpg'])).rejects.toThrow(/is a URL.*download/);
});

test.each([
  ['**', 'a/**/'.repeat(5)],
  ['*', '*a'.repeat(5)],
  ['groups', `${'+(a|'.repeat(5)}b${')'.repeat(5)}`],
  ['optional groups', '?(a)'.repeat(5)],
  ['groups that are regular expressions', '(a|a)'.repeat(5)],
  ['groups in groups', '+(+(a))'],
  ['groups that repeat', '(a+)+'],
  ['lists', '{a,a}'.repeat(5)],
])('a pattern of many %s is refused before it is looked for', async (_, pattern) => {
  await expect(findImages([`${pattern}.jpg`])).rejects.toThrow(/more wildcards than can be looked for/);
});
