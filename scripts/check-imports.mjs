// Enforces the layering of docs/architecture.md: a room may import only from the rooms listed for it, and from itself.
import { readdirSync, readFileSync } from 'node:fs';
import { dirname, join, normalize, relative } from 'node:path';
import { fileURLToPath } from 'node:url';

const source = join(dirname(fileURLToPath(import.meta.url)), '..', 'src');

const base = ['base'];
const graph = [...base, 'onnx'];
const run = [...graph, 'runtime'];
const use = [...run, 'model', 'quant'];
const apply = [...use, 'data', 'detect', 'evaluate'];

/** What each room may import from. `quant` does not list `model`: what it needs of one comes as a recipe. */
const allowed = {
  base: [],
  testing: [...run, 'model'],
  onnx: base,
  runtime: graph,
  model: run,
  quant: run,
  autodiff: graph,
  data: base,
  detect: [...use, 'data'],
  evaluate: [...use, 'data', 'detect'],
  train: [...apply, 'autodiff'],
  report: [...apply, 'train'],
  cli: [...apply, 'train', 'report'],
};

const problems = [];
for (const entry of readdirSync(source, { recursive: true, withFileTypes: true })) {
  if (!entry.isFile() || !entry.name.endsWith('.ts')) continue;
  const file = join(entry.parentPath, entry.name);
  const [room] = relative(source, file).split(/[\\/]/);
  const isRoot = dirname(file) === source; // src/index.ts, the library's face
  if (isRoot) continue;
  if (!allowed[room]) problems.push(`${relative(source, file)}: the room ${room} is not in scripts/check-imports.mjs`);
  // A test may use whatever it takes to state its fact, but no command line.
  const rooms = entry.name.endsWith('.test.ts')
    ? Object.keys(allowed).filter((name) => name !== 'cli' || room === 'cli')
    : (allowed[room] ?? []);
  for (const [, specifier] of readFileSync(file, 'utf8').matchAll(/(?:from|import)\s*\(?\s*['"](\.[^'"]*)['"]/g)) {
    const [target] = relative(source, normalize(join(dirname(file), specifier))).split(/[\\/]/);
    if (target !== room && !rooms.includes(target))
      problems.push(`${relative(source, file)} imports from ${target}, which ${room} may not`);
  }
}

if (problems.length > 0) {
  console.error(problems.join('\n'));
  process.exit(1);
}
console.log('Imports follow the layering.');
