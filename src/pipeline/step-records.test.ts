import { mkdtemp, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { beforeEach, describe, expect, test } from 'vitest';
import { z } from 'zod';
import { StepRecords } from './step-records.ts';

let folder: string;
let notices: string[];

beforeEach(async () => {
  folder = await mkdtemp(join(tmpdir(), 'dino8-steps-'));
  notices = [];
});

/** A step in a new process, as far as the records can tell: they are opened anew. */
async function attempt(key: Record<string, string | number>, result = 1): Promise<{ result: number; done: boolean }> {
  const records = await StepRecords.open(folder, (sentence) => notices.push(sentence));
  const file = join(folder, 'file');
  let done = false;
  const run = async () => {
    done = true;
    await writeFile(file, 'written');
    return result;
  };
  return { result: await records.do({ name: 'count', key, files: [file], schema: z.number(), run }), done };
}

describe('a recorded step', () => {
  test('is not done again when it is asked for again', async () => {
    expect(await attempt({ model: 'a', seed: 0 }, 5)).toEqual({ result: 5, done: true });
    expect(await attempt({ model: 'a', seed: 0 }, 6)).toEqual({ result: 5, done: false });
    expect(notices).toEqual([]);
  });

  test('is done again when a setting has changed, and the setting is named', async () => {
    await attempt({ model: 'a', seed: 0 });
    expect(await attempt({ model: 'a', seed: 3 }, 7)).toEqual({ result: 7, done: true });
    expect(notices).toEqual([expect.stringMatching(/"count" is done again, because "seed" changed from 0 to 3/)]);
    // The last record counts.
    expect(await attempt({ model: 'a', seed: 3 }, 8)).toEqual({ result: 7, done: false });
  });

  test('is done again when its file was changed or removed, and the file is named', async () => {
    await attempt({ model: 'a' });
    await writeFile(join(folder, 'file'), 'something else');
    expect((await attempt({ model: 'a' })).done).toBe(true);
    expect(notices).toEqual([expect.stringMatching(/file has changed/)]);
  });
});
