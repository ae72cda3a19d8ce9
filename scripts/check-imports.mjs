// Enforces three rules of docs/architecture.md. A room may import only from the rooms listed for it, and from itself; no files may
// import each other in a circle, not even types: files of a circle can only be understood together; and what runs in a browser
// imports nothing that needs Node.js, however far below.
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
  web: [...run, 'data', 'models', 'detect'],
  report: apply,
  pipeline: [...apply, 'report', 'web'],
  cli: [...apply, 'report', 'web', 'pipeline'],
};

/** The relative imports of a file, of types too, as paths below src/. */
function importsOf(file) {
  const specifiers = readFileSync(file, 'utf8').matchAll(/(?:from|import)\s*\(?\s*['"](\.[^'"]*)['"]/g);
  return [...specifiers].map(([, specifier]) => relative(source, normalize(join(dirname(file), specifier))));
}

const files = readdirSync(source, { recursive: true, withFileTypes: true })
  .filter((entry) => entry.isFile() && entry.name.endsWith('.ts'))
  .map((entry) => relative(source, join(entry.parentPath, entry.name)));
const importsByFile = new Map(files.map((file) => [file, importsOf(join(source, file))]));
const roomOf = (file) => file.split(/[\\/]/)[0];

function layeringProblems() {
  const problems = [];
  for (const [file, imports] of importsByFile) {
    const room = roomOf(file);
    if (room === file) continue; // A file directly in src/ is an entry point of the library, which exports from all rooms.
    if (!allowed[room]) problems.push(`${file}: the room ${room} is not in scripts/check-imports.mjs`);
    // A test may use every room but the command line to state its fact.
    const rooms = file.endsWith('.test.ts')
      ? Object.keys(allowed).filter((name) => name !== 'cli' || room === 'cli')
      : (allowed[room] ?? []);
    for (const target of imports.map(roomOf))
      if (target !== room && !rooms.includes(target))
        problems.push(`${file} imports from ${target}, which ${room} may not`);
  }
  return problems;
}

/** One message for each circle that a depth-first search meets. */
function circles() {
  const problems = [];
  const finished = new Set();
  const path = [];
  const visit = (file) => {
    if (finished.has(file)) return;
    const start = path.indexOf(file);
    if (start >= 0) {
      problems.push(`Files import each other in a circle: ${[...path.slice(start), file].join(' -> ')}`);
      return;
    }
    path.push(file);
    for (const target of importsByFile.get(file) ?? []) visit(target);
    path.pop();
    finished.add(file);
  };
  for (const file of files) visit(file);
  return problems;
}

/** The entry point for browsers, and the packages that it may import at run time. */
const BROWSER_ENTRY = 'public-web.ts';
const BROWSER_PACKAGES = ['zod', '@huggingface/tokenizers', '@bufbuild/protobuf', 'onnx-buf'];

/** What a file imports when it runs: types are gone then. */
function runtimeImportsOf(file) {
  const text = readFileSync(join(source, file), 'utf8').replaceAll(/\/\*[\s\S]*?\*\//g, '');
  const statements = text.matchAll(/^(?:import|export)\s+(?!type\b)(?:([^'";]*?)\sfrom\s+)?['"]([^'"]+)['"]/gm);
  return [...statements].flatMap(([, names, specifier]) => {
    const listed = /^\{([^}]*)\}$/.exec(names?.trim() ?? '')?.[1];
    const isTypesOnly = listed?.split(',').every((name) => name.trim() === '' || name.trim().startsWith('type '));
    return isTypesOnly ? [] : [specifier];
  });
}

/** One message for each import of a package that a browser does not have, with the way to it. */
function browserProblems() {
  const problems = [];
  const ways = new Map([[BROWSER_ENTRY, [BROWSER_ENTRY]]]);
  for (const [file, way] of ways)
    for (const specifier of runtimeImportsOf(file)) {
      if (specifier.startsWith('.')) {
        const target = relative(source, normalize(join(source, dirname(file), specifier)));
        if (!ways.has(target)) ways.set(target, [...way, target]);
      } else if (!BROWSER_PACKAGES.includes(specifier))
        problems.push(`${way.join(' -> ')} imports ${specifier}, which a page does not have`);
    }
  return problems;
}

const problems = [...layeringProblems(), ...circles(), ...browserProblems()];
if (problems.length > 0) {
  console.error(problems.join('\n'));
  process.exit(1);
}
console.log('Imports follow the layering, none form a circle, and those for browsers need no Node.js.');
