/** What `detect` takes, where it writes copies, and what it never writes over. */
import { copyFile, link, mkdir, mkdtemp, readdir, readFile, symlink, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import sharp from 'sharp';
import { beforeAll, describe, expect, test } from 'vitest';
import { UsageError } from '../base/errors.ts';
import { packageRoot } from '../base/package-root.ts';
import { type DetectOptions, detect } from './detect-step.ts';

const picture = join(packageRoot, 'assets/shapes/val/000082.jpg');
let folder: string;
const at = (name: string) => join(folder, name);
const look = (images: DetectOptions['images'], options: Partial<DetectOptions> = {}) =>
  detect({ model: join(packageRoot, 'assets/nano'), phrases: ['white star', 'orange ring'], images, ...options });

beforeAll(async () => {
  folder = await mkdtemp(join(tmpdir(), 'dino8-detect-step-'));
  for (const name of ['a', 'b/c', 'other']) await mkdir(at(name), { recursive: true });
  for (const name of ['a/x.jpg', 'b/c/x.jpg', 'b/noname']) await copyFile(picture, at(name));
  for (const name of ['a/x.png', 'a/x.webp', 'a/x.gif', 'a/x.tif']) await sharp(picture).toFile(at(name));
  await writeFile(at('b/bad.jpg'), 'no picture');
  await symlink(at('a/x.jpg'), at('other/x.jpg'));
  await link(at('a/x.png'), at('other/hard.png'));
});

test('every input has a copy of its own, below the folder that all are in, in the format of its name', async () => {
  const inputs = [at('a'), at('b/c/x.jpg'), at('b/noname')];
  await look(inputs, { drawInto: at('drawn') });
  const written = (await readdir(at('drawn'), { recursive: true })).filter((name) => /\./.test(name)).sort();
  expect(written).toEqual(['a/x.gif', 'a/x.jpg', 'a/x.png', 'a/x.tif', 'a/x.webp', 'b/c/x.jpg', 'b/noname.jpg']);
  for (const name of written) {
    const { format } = await sharp(at(`drawn/${name}`)).metadata();
    expect(format).toBe({ jpg: 'jpeg', tif: 'tiff' }[name.split('.').at(-1) ?? ''] ?? name.split('.').at(-1));
  }
});

test('one input may be given as bytes, and have a file for its copy', async () => {
  const bytes = await readFile(picture);
  const [found] = await look([{ name: 'photo', bytes }], { drawInto: at('one.webp') });
  expect(found).toEqual({ ...(await look([picture]))[0], image: 'photo' });
  expect((await sharp(at('one.webp')).metadata()).format).toBe('webp');
  await look([{ name: 'photo', bytes }], { drawInto: at('bytes') });
  expect(await readdir(at('bytes'))).toEqual(['photo.jpg']);
});

test('of several inputs, one that cannot be read has a problem and the others go on', async () => {
  const found = await look([at('b/bad.jpg'), picture]);
  expect(found[0]).toMatchObject({
    image: at('b/bad.jpg'),
    detections: [],
    problem: expect.stringMatching(/bad\.jpg/),
  });
  expect(found[1]?.detections.length).toBeGreaterThan(0);
  await expect(look([at('b/bad.jpg')])).rejects.toThrow(/bad\.jpg cannot be decoded/);
});

describe('inputs are never written over', () => {
  test.each([
    ['the folder of the picture', ['a/x.jpg'], 'a'],
    ['the picture itself', ['a/x.jpg'], 'a/x.jpg'],
    ['a symbolic link to it', ['a/x.jpg'], 'other'],
    ['the file behind a symbolic link', ['other/x.jpg'], 'a'],
    ['a hard link', ['a/x.png'], 'other/hard.png'],
    ['another input', ['a/x.jpg', 'other/x.jpg'], '.'],
  ])('%s', async (_, images, out) => {
    const before = await readFile(at('a/x.jpg'));
    await expect(look(images.map(at), { drawInto: at(out) })).rejects.toThrow(/would be written (over|to)/);
    expect((await readFile(at('a/x.jpg'))).equals(before)).toBe(true);
  });

  test('two copies never go to one file', async () => {
    await copyFile(picture, at('b/noname.jpg'));
    const images = [at('b/noname'), at('b/noname.jpg')];
    await expect(look(images, { drawInto: at('two') })).rejects.toThrow(/Two results would be written/);
    await expect(look([at('a')], { drawInto: at('two.png') })).rejects.toThrow(/names one file/);
    expect(await readdir(folder)).not.toContain('two');
  });
});

test('an option without effect is an error', async () => {
  await expect(look([picture], { every: 2 })).rejects.toThrow(UsageError);
});
