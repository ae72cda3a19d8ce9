import { execFile } from 'node:child_process';
import { join } from 'node:path';
import { promisify } from 'node:util';
import { Command } from '@commander-js/extra-typings';
import { packageRoot } from '../base/package-root.ts';
import { examples } from './examples.ts';
import { interruption } from './interruption.ts';
import { print } from './output.ts';

/** `dino8 setup`: builds the kernels, for installations in which npm runs no install scripts. */
export const setupCommand = () =>
  new Command('setup')
    .description("Build the kernels with this machine's C++ compiler.")
    .addHelpText(
      'after',
      `\nWithout the kernels every command gives the same results, more slowly. npm 12, pnpm and \`npm install --ignore-scripts\` do not run the script that builds them.\n${examples('dino8 setup')}`,
    )
    .action(async () => {
      const script = join(packageRoot, 'kernels', 'build.mjs');
      const { stdout } = await promisify(execFile)(process.execPath, [script], { signal: interruption() });
      print(stdout.trim());
    });
