/** The README and the documents are read on npm and in node_modules as well, where a link leads to a file of the package or nowhere. */
import { execFile } from 'node:child_process';
import { readFile } from 'node:fs/promises';
import { join, posix } from 'node:path';
import { promisify } from 'node:util';
import { beforeAll, expect, test } from 'vitest';
import { z } from 'zod';
import { packageRoot } from '../src/base/package-root.ts';

const packedSchema = z.object({ files: z.array(z.object({ path: z.string() })) });

let files: string[];
beforeAll(async () => {
  const { stdout } = await promisify(execFile)('npm', ['pack', '--dry-run', '--json', '--ignore-scripts'], {
    cwd: packageRoot,
    shell: process.platform === 'win32',
  });
  // npm 11 prints a list of packages, npm 12 an object with the names of packages as keys.
  const [packed] = Object.values(
    z.record(z.string(), packedSchema).or(z.array(packedSchema)).parse(JSON.parse(stdout)),
  );
  files = packed?.files.map(({ path }) => path) ?? [];
});

test('every relative link in a packed document leads to a packed file', async () => {
  const documents = files.filter((path) => path.endsWith('.md'));
  expect(documents).toContain('README.md');
  const dead = [];
  for (const document of documents) {
    const text = await readFile(join(packageRoot, document), 'utf8');
    for (const [, target = ''] of text.matchAll(/\]\(([^)\s#]+)[^)]*\)/g)) {
      if (/^[a-z]+:/.test(target)) continue;
      const path = posix.join(posix.dirname(document), target);
      if (!files.some((file) => file === path || file.startsWith(`${path}/`))) dead.push(`${document}: ${target}`);
    }
  }
  expect(dead).toEqual([]);
});
