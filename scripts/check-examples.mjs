// Checks the examples in the docstrings of the public API, as the built types have them. Every exported function and class
// needs an @example, and every example must compile against the package. An example need not import the names that the
// package exports. Variables that it does not declare, such as `model`, are declared in scripts/example-variables.ts.
import { readFileSync } from 'node:fs';
import { dirname, join, posix } from 'node:path';
import { fileURLToPath } from 'node:url';
import ts from 'typescript';

const root = join(dirname(fileURLToPath(import.meta.url)), '..');
const { name: packageName, exports } = JSON.parse(readFileSync(join(root, 'package.json'), 'utf8'));
const entries = Object.entries(exports).flatMap(([subpath, { types }]) =>
  types ? [{ module: posix.join(packageName, subpath), file: join(root, types) }] : [],
);
const options = {
  module: ts.ModuleKind.NodeNext,
  moduleResolution: ts.ModuleResolutionKind.NodeNext,
  target: ts.ScriptTarget.ES2023,
  lib: ['lib.es2023.d.ts', 'lib.esnext.disposable.d.ts'],
  types: ['node'],
  strict: true,
  noUncheckedIndexedAccess: true,
  skipLibCheck: true,
  noEmit: true,
};

const examples = []; // { module, name, text }
const problems = [];
const checked = new Set(); // symbols, since a name may be exported by several modules
const modulesOf = new Map(); // exported name -> the modules that export it
const api = ts.createProgram(
  entries.map(({ file }) => file),
  options,
);
const checker = api.getTypeChecker();
for (const { module, file } of entries)
  for (const symbol of checker.getExportsOfModule(checker.getSymbolAtLocation(api.getSourceFile(file)))) {
    const { name } = symbol;
    modulesOf.set(name, (modulesOf.get(name) ?? new Set()).add(module));
    const target = symbol.flags & ts.SymbolFlags.Alias ? checker.getAliasedSymbol(symbol) : symbol;
    if (checked.has(target)) continue;
    checked.add(target);
    for (const declaration of target.declarations ?? []) {
      const own = examplesOf(declaration).map((text) => ({ module, name, text }));
      const members = (declaration.members ?? []).flatMap((member) =>
        examplesOf(member).map((text) => ({
          module,
          name: `${name}.${member.name?.getText() ?? 'constructor'}`,
          text,
        })),
      );
      examples.push(...own, ...members);
      if (own.length === 0 && isFunctionOrClass(declaration)) problems.push(`${name} of ${module} has no @example.`);
    }
  }

/** The texts of a declaration's examples. */
function examplesOf(declaration) {
  const tags = ts.getJSDocTags(declaration).filter(({ tagName }) => tagName.text === 'example');
  return tags.map(({ comment }) => ts.getTextOfJSDocComment(comment) ?? '');
}

function isFunctionOrClass(declaration) {
  if (ts.isFunctionDeclaration(declaration) || ts.isClassDeclaration(declaration)) return true;
  return ts.isVariableDeclaration(declaration) && checker.getTypeAtLocation(declaration).getCallSignatures().length > 0;
}

/** An example as a module: one line that imports what it mentions, then its text. A name is imported from `module` first. */
function moduleText({ module, text }) {
  const mentioned = new Set(text.match(/(?<![^.]\.)\b[A-Za-z]\w*/g));
  const declarations = [...text.matchAll(/\b(?:const|let|function|import)\s+(\w+|[[{].*?[\]}] (?:=|from))/gs)];
  const declared = new Set(declarations.flatMap(([, names]) => names.match(/\w+/g)));
  const imports = [...mentioned]
    .filter((name) => !declared.has(name) && modulesOf.has(name))
    .map((name) => [name, modulesOf.get(name).has(module) ? module : [...modulesOf.get(name)][0]])
    .map(([name, from]) => `import { ${name} } from '${from}';`);
  return `${imports.join(' ')} export {};\n${text}\n`;
}

const files = new Map(examples.map((example, i) => [join(root, `example-${i}.mts`), example]));
const texts = new Map([...files].map(([file, example]) => [file, moduleText(example)]));
const host = ts.createCompilerHost(options);
const { getSourceFile, fileExists, readFile } = host;
host.fileExists = (file) => texts.has(file) || fileExists(file);
host.readFile = (file) => texts.get(file) ?? readFile(file);
host.getSourceFile = (file, version) =>
  texts.has(file) ? ts.createSourceFile(file, texts.get(file), version) : getSourceFile(file, version);
const variables = join(root, 'scripts', 'example-variables.ts');
/** Examples for browsers have their types, which hide variables of the others, such as `prompt`. */
const isForBrowsers = (file) => files.get(file).module === 'dino8/web';
const names = [...texts.keys()];
const inBrowsers = { ...options, lib: [...options.lib, 'lib.dom.d.ts'] };
const programs = [
  ts.createProgram([variables, ...names.filter((name) => !isForBrowsers(name))], options, host),
  ts.createProgram(names.filter(isForBrowsers), inBrowsers, host),
];
for (const { file, start, messageText } of programs.flatMap((program) => ts.getPreEmitDiagnostics(program))) {
  const message = ts.flattenDiagnosticMessageText(messageText, ' ');
  const example = file && files.get(file.fileName);
  if (!example) problems.push(`${file?.fileName ?? ''}: ${message}`);
  else {
    const { line } = file.getLineAndCharacterOfPosition(start);
    const source = file.text.split('\n')[line];
    problems.push(
      `The example of ${example.name} of ${example.module} does not compile: ${message}\n    ${line === 0 ? '' : source}`,
    );
  }
}

for (const problem of problems) console.error(problem);
if (problems.length > 0) process.exitCode = 1;
else console.log(`${examples.length} examples of the public API compile.`);
