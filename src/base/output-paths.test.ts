import { link, mkdir, mkdtemp, readFile, symlink, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join, relative } from 'node:path';
import { beforeAll, describe, expect, test } from 'vitest';
import { UsageError } from './errors.ts';
import { checkOutputs } from './output-paths.ts';

let folder: string;
const at = (...parts: string[]) => join(folder, ...parts);
beforeAll(async () => {
  folder = await mkdtemp(join(tmpdir(), 'dino8-outputs-'));
  await mkdir(at('data', 'sub'), { recursive: true });
  await writeFile(at('data', 'input.json'), 'input');
  await writeFile(at('data', 'page.html'), 'page');
  await writeFile(at('data', 'sub', 'deep.jpg'), 'deep');
  await symlink(at('data', 'input.json'), at('symbolic.json'));
  await symlink(at('data'), at('linked'));
  await link(at('data', 'input.json'), at('hard.json'));
});

describe('a result is never written over an input', () => {
  test.each([
    ['itself', 'data/input.json'],
    ['another spelling', 'data/../data/./input.json'],
    ['a symbolic link', 'symbolic.json'],
    ['a hard link', 'hard.json'],
    ['a linked folder', 'linked/input.json'],
  ])('%s', async (_, output) => {
    await expect(checkOutputs([`${folder}/${output}`], [at('data', 'input.json')])).rejects.toThrow(UsageError);
    await expect(checkOutputs([at('data', 'input.json')], [`${folder}/${output}`])).rejects.toThrow(/written over/);
    const shown = relative(process.cwd(), at('data', 'input.json'));
    await expect(checkOutputs([`${folder}/${output}`], [shown])).rejects.toThrow(shown);
    expect(await readFile(at('data', 'input.json'), 'utf8')).toBe('input');
  });

  test('every file in a folder that is read counts, also below it and by a link; a new file does not', async () => {
    await expect(checkOutputs([at('data', 'input.json')], [at('data')])).rejects.toThrow(/exists in the folder/);
    await expect(checkOutputs([at('data', 'sub', 'deep.jpg')], [at('linked')])).rejects.toThrow(/exists in the folder/);
    await checkOutputs([at('data', 'new.json'), at('data', 'page.html')], [at('data')]);
    await checkOutputs([at('symbolic.json')], [at('data', 'sub')]);
  });

  test('inputs that are no files, such as names of recipes, count for nothing', async () => {
    await checkOutputs([at('hard.json')], ['mixed', undefined, at('none')]);
  });
});

test('two results are never written to one file, and every file has a folder', async () => {
  await expect(checkOutputs([at('x.json'), at('data', '..', 'x.json')])).rejects.toThrow(/Two results/);
  await expect(checkOutputs([at('linked', 'x.json'), at('data', 'x.json')])).rejects.toThrow(/Two results/);
  await checkOutputs([at('X.json'), at('x.json')]); // on a file system that tells them apart
  await expect(checkOutputs([at('nowhere', 'x.json')])).rejects.toThrow(/folder does not exist/);
  await checkOutputs([at('nowhere', 'folder'), undefined]);
});
