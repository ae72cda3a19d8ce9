// Packs dino8 and its demo data, each into a file of its own, and fails if the library is larger than it may be.
// Usage: node scripts/package.mjs [FOLDER]      (the default folder is packages/)
import { execFileSync } from 'node:child_process';
import { existsSync, mkdirSync } from 'node:fs';
import { dirname, join, resolve } from 'node:path';
import { fileURLToPath } from 'node:url';

/** The limit for the library's tarball in bytes. Its users install it everywhere, so nothing large belongs in it. */
const LIMIT = 3_000_000;

const root = join(dirname(fileURLToPath(import.meta.url)), '..');
const folder = resolve(process.argv[2] ?? join(root, 'packages'));

if (!existsSync(join(root, 'dist', 'cli.mjs'))) {
  console.error('dist/ is missing; run `npm run build` first.');
  process.exit(1);
}
mkdirSync(folder, { recursive: true });
for (const directory of [root, join(root, 'assets')]) {
  const command = ['pack', '--json', '--ignore-scripts', '--pack-destination', folder];
  const options = { cwd: directory, encoding: 'utf8', shell: process.platform === 'win32' };
  const printed = JSON.parse(execFileSync('npm', command, options));
  // npm 11 prints a list of packages, npm 12 an object with the names of packages as keys.
  const [{ filename, size, entryCount }] = Object.values(printed);
  console.log(`${join(folder, filename)}: ${(size / 1e6).toFixed(2)} MB, ${entryCount} files`);
  if (directory === root && size > LIMIT) {
    console.error(`${filename} is larger than ${LIMIT / 1e6} MB.`);
    process.exitCode = 1;
  }
}
