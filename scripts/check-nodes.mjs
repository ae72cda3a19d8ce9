// Runs the consumer test and a short run of the tests on other versions of Node.js, whose binaries npm packages bring.
// A version that cannot be had, because the registry is out of reach or has none for this platform, is skipped.
// Usage: node scripts/check-nodes.mjs [VERSION ...]      (by default 22 and 24)
import { execFileSync, spawnSync } from 'node:child_process';
import { existsSync, mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { delimiter, dirname, join } from 'node:path';
import { fileURLToPath } from 'node:url';

/** The tests that depend most on Node.js: files, native calls, processes, the package as a whole. */
const TESTS = ['src/base', 'src/onnx', 'src/runtime', 'src/data', 'test/startup.test.ts', 'test/consumer.test.ts'];

const root = join(dirname(fileURLToPath(import.meta.url)), '..');
const versions = process.argv.length > 2 ? process.argv.slice(2) : ['22', '24'];
const platform = process.platform === 'win32' ? 'win' : process.platform;
const folder = mkdtempSync(join(tmpdir(), 'dino8-nodes-'));

/** Installs a version of Node.js and returns the path of its binary, or undefined if it cannot be had. */
function installNode(version) {
  const prefix = join(folder, version);
  const name = `node-${platform}-${process.arch}`;
  try {
    const options = { stdio: 'pipe', shell: process.platform === 'win32' };
    execFileSync(
      'npm',
      ['install', '--prefix', prefix, '--ignore-scripts', '--no-audit', `${name}@${version}`],
      options,
    );
  } catch {
    return undefined;
  }
  const binary = join(prefix, 'node_modules', name, 'bin', process.platform === 'win32' ? 'node.exe' : 'node');
  return existsSync(binary) ? binary : undefined;
}

for (const version of versions) {
  const binary = installNode(version);
  if (binary === undefined) {
    console.log(`Node.js ${version}: skipped, because its binary cannot be had here.`);
    continue;
  }
  const env = { ...process.env, PATH: `${dirname(binary)}${delimiter}${process.env.PATH}` };
  const { status } = spawnSync(binary, [join(root, 'node_modules', 'vitest', 'vitest.mjs'), 'run', ...TESTS], {
    cwd: root,
    env,
    stdio: 'inherit',
  });
  const exact = execFileSync(binary, ['--version'], { encoding: 'utf8' }).trim();
  console.log(`Node.js ${exact}: ${status === 0 ? 'passed' : 'FAILED'}.`);
  if (status !== 0) process.exitCode = 1;
}
rmSync(folder, { recursive: true, force: true });
