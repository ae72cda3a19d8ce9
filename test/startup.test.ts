/** The command line loads little when it starts, and ends quietly when the reader of its output goes away. */
import { mkdtemp, readFile, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { pathToFileURL } from 'node:url';
import { beforeAll, describe, expect, test } from 'vitest';
import { packageRoot } from '../src/base/package-root.ts';
import { entry, run } from './run-cli.ts';

let folder: string;

beforeAll(async () => {
  folder = await mkdtemp(join(tmpdir(), 'dino8-startup-'));
});

/** The packages from which the command line loads modules when it is started with `args`. */
async function loadedPackages(args: readonly string[]): Promise<Set<string>> {
  const log = join(folder, 'loaded.txt');
  const hooks = join(folder, 'hooks.mjs');
  await writeFile(log, '');
  await writeFile(
    hooks,
    `import { appendFileSync } from 'node:fs';
export async function load(url, context, next) { appendFileSync(${JSON.stringify(log)}, url + '\\n'); return next(url, context); }`,
  );
  const register = `data:text/javascript,import { register } from 'node:module'; register(${JSON.stringify(pathToFileURL(hooks).href)});`;
  const { code, stderr } = await run(args, process.execPath, ['--import', register, entry]);
  expect(code, stderr).toBe(0);
  const urls = (await readFile(log, 'utf8')).trim().split('\n');
  return new Set(urls.flatMap((url) => /.*node_modules\/((?:@[^/]+\/)?[^/]+)/.exec(url)?.[1] ?? []));
}

describe('starting', () => {
  test.each([['--version'], ['--help']])(
    'dino8 %s loads no package but those that parse the command line',
    async (option) => {
      const parsers = ['@commander-js/extra-typings', 'commander'];
      expect([...(await loadedPackages([option]))].filter((name) => !parsers.includes(name))).toEqual([]);
    },
  );

  test('a command loads its modules, so the test above would detect them', async () => {
    const model = join(packageRoot, 'assets/nano');
    expect(await loadedPackages(['quantize', model, '--explain'])).toContain('onnx-buf');
  });
});

describe.skipIf(process.platform === 'win32')('a closed pipe', () => {
  test.each([
    ['the standard output', `inspect '${join(packageRoot, 'assets/nano')}' --json`, '2>errors'],
    ['the standard error', 'inspect nowhere.onnx', '2>&1 >/dev/null'],
  ])('%s may close early: the process ends without a word', async (_, args, redirection) => {
    const script = `cd '${folder}' && : >errors && '${process.execPath}' '${entry}' ${args} ${redirection} | true; cat errors`;
    const { stdout, stderr } = await run([script], 'sh', ['-c']);
    expect(stderr).toBe('');
    expect(stdout.replace(/^.*(?:libvulkan|BackendVk).*$\n?/gm, '')).toBe('');
  });
});
