// Enforces the layering of docs/architecture.md: a room may import only from the rooms listed for it, and from itself.
import { readdirSync, readFileSync } from 'node:fs';
import { dirname, join, normalize, relative } from 'node:path';
import { fileURLToPath } from 'node:url';

const source = join(dirname(fileURLToPath(import.meta.url)), '..', 'src');

const graph = ['base', 'onnx'];
const run = [...graph, 'runtime'];
const model = [...run, 'data', 'quant', 'autodiff', 'models'];
const apply = [...model, 'detect', 'evaluate', 'train'];

/** The rooms that each room may import from. `quant` does not list `models`: it learns about a model from its recipe. */
const allowed = {
  base: [],
  testing: [...run, 'models'],
  onnx: ['base'],
  runtime: graph,
  data: run,
  quant: run,
  autodiff: graph,
  models: [...run, 'data', 'quant', 'autodiff'],
  detect: model,
  evaluate: [...model, 'detect'],
  train: [...model, 'detect', 'evaluate'],
  report: apply,
  pipeline: [...apply, 'report'],
  cli: [...apply, 'report', 'pipeline'],
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
