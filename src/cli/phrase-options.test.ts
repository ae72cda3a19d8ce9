/** The options for phrases, as a user writes them. */
import { mkdtemp, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { Command } from '@commander-js/extra-typings';
import { expect, test } from 'vitest';
import { UsageError } from '../base/errors.ts';
import { addPhraseOptions, phrasesOf } from './phrase-options.ts';

const parse = (args: readonly string[]) =>
  addPhraseOptions(new Command('it'))
    .parse([...args], { from: 'user' })
    .opts();
const phrases = async (...args: string[]) => (await phrasesOf(parse(args)))?.map(({ exact }) => exact);

test('repeated options add up, and a phrase of its own is taken as it is', async () => {
  const file = join(await mkdtemp(join(tmpdir(), 'dino8-phrases-')), 'more.txt');
  await writeFile(file, 'U.S. flag\nred, white\n');
  expect(
    await phrases(
      '--phrases',
      'a cat. a dog',
      '--phrases=ring',
      '--phrase',
      'hat, red',
      '--phrases-file',
      file,
      '--phrase',
      'Mr. X',
    ),
  ).toEqual(['a cat', 'a dog', 'ring', 'hat, red', 'Mr. X', 'U.S. flag', 'red, white']);
  expect(await phrases()).toBeUndefined();
});

test.each([[['--phrases', ' , ']], [['--phrases', '"a cat']]])('%j is refused', async (args) => {
  await expect(phrasesOf(parse(args))).rejects.toThrow(UsageError);
});
