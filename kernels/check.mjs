// Fails if this machine has a C++ compiler but not the kernel library of the current sources. CI runs this after the
// installation, which itself succeeds without the library.
import { existsSync, readFileSync } from 'node:fs';
import { errorFile, findCompiler, isBuilt } from './library.mjs';

const compiler = findCompiler();
if (compiler === undefined) console.log('There is no C++ compiler on this machine, so there are no kernels to check.');
else if (isBuilt()) console.log('The kernel library is built from the current sources.');
else {
  console.error(
    `${compiler} is on this machine, but the kernel library of the current sources is not; run \`node kernels/build.mjs\`.`,
  );
  if (existsSync(errorFile)) console.error(readFileSync(errorFile, 'utf8'));
  process.exitCode = 1;
}
