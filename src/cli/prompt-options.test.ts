/** The options for named prompts, as a user writes them. */
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { Command } from '@commander-js/extra-typings';
import { afterAll, expect, test } from 'vitest';
import { UsageError } from '../base/errors.ts';
import { addPromptsOptions, promptsOf } from './prompt-options.ts';

const folder = mkdtempSync(join(tmpdir(), 'dino8-prompt-options-'));
afterAll(() => rmSync(folder, { recursive: true }));
const prompts = (...args: string[]) =>
  promptsOf(addPromptsOptions(new Command('it')).parse(args, { from: 'user' }).opts());

test('each option is a prompt, and a file has more', async () => {
  const file = join(folder, 'prompts.json');
  writeFileSync(file, '{"more": ["U.S. flag"]}');
  const asked = await prompts('--prompts', 'safety = helmet, person', '--prompts=a b=x=y', '--prompts-file', file);
  expect(asked).toEqual({
    safety: ' helmet, person',
    'a b': 'x=y',
    more: [{ exact: 'U.S. flag', called: `phrase of ${file}` }],
  });
  expect(await prompts()).toBeUndefined();
});

test.each([
  [['--prompts', 'helmet, person'], /has no name; write one before the phrases/],
  [['--prompts', '=helmet'], /an empty name/],
  [['--prompts', 'a=x', '--prompts', 'a=y'], /Two prompts are called "a"/],
  [['--prompts-file', 'no/such.yaml'], /no\/such\.yaml/],
])('%j is refused', async (args, reason) => {
  const failure = prompts(...args);
  await expect(failure).rejects.toThrow(UsageError);
  await expect(failure).rejects.toThrow(reason);
});
