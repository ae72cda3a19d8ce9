// Writes docs/api-report/: everything that each entry point of the package exports, as its built types say. With
// `--check` it compares instead, and fails if a report is stale, so that every change of the public API is part of a
// commit. It also fails if a public declaration mentions a type that no entry point exports.
import { mkdirSync, mkdtempSync, readdirSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { basename, dirname, join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { CompilerState, Extractor, ExtractorConfig } from '@microsoft/api-extractor';

const root = join(dirname(fileURLToPath(import.meta.url)), '..');
const reportFolder = join(root, 'docs', 'api-report');
const isCheck = process.argv.includes('--check');

const { exports } = JSON.parse(readFileSync(join(root, 'package.json'), 'utf8'));
const entries = Object.values(exports).flatMap((entry) => (entry.types ? [join(root, entry.types)] : []));

const temporary = mkdtempSync(join(tmpdir(), 'dino8-api-'));

/** The entry point for browsers, whose types are other ones: some have the names of types of dino8, such as Image. */
const isForBrowsers = (entry) => basename(entry) === 'web.d.mts';

/** API Extractor's configuration for the types of one entry point. */
function configOf(entry) {
  const compilerOptions = {
    module: 'nodenext',
    target: 'es2023',
    lib: ['ES2023', 'ESNext.Disposable', ...(isForBrowsers(entry) ? ['DOM'] : [])],
    types: ['node'],
    strict: true,
    skipLibCheck: true,
  };
  return ExtractorConfig.prepare({
    configObjectFullPath: undefined,
    packageJsonFullPath: join(root, 'package.json'),
    configObject: {
      projectFolder: root,
      mainEntryPointFilePath: entry,
      compiler: { overrideTsconfig: { compilerOptions, files: isForBrowsers(entry) ? [entry] : entries } },
      apiReport: {
        enabled: true,
        reportFileName: basename(entry, '.d.mts'),
        reportFolder,
        reportTempFolder: temporary,
      },
      docModel: { enabled: false },
      dtsRollup: { enabled: false },
      tsdocMetadata: { enabled: false },
      newlineKind: 'lf',
      messages: {
        compilerMessageReporting: { default: { logLevel: 'error' } },
        extractorMessageReporting: {
          default: { logLevel: 'none' },
          'ae-forgotten-export': { logLevel: 'warning', addToApiReportFile: false },
        },
        tsdocMessageReporting: { default: { logLevel: 'none' } },
      },
    },
  });
}

/** The names that a report lists as exported. */
function exportedNames(report) {
  return [...report.matchAll(/^export (?:abstract |declare )*(?:\w+) (\w+)|^export \{ (?:\w+ as )?(\w+) \}/gm)].map(
    ([, declared, listed]) => declared ?? listed,
  );
}

mkdirSync(reportFolder, { recursive: true });
const configs = entries.map(configOf);
const inNode = entries.filter((entry) => !isForBrowsers(entry));
const compilerState = CompilerState.create(configs[0], { additionalEntryPoints: inNode.slice(1) });
const exported = new Set();
const forgotten = new Map();
const stale = [];
for (const [index, config] of configs.entries()) {
  const { errorCount, apiReportChanged } = Extractor.invoke(config, {
    localBuild: !isCheck,
    ...(isForBrowsers(entries[index]) ? {} : { compilerState }),
    messageCallback: (message) => {
      const [, symbol] = message.text.match(/^The symbol "(\w+?)(?:_\d+)?" needs to be exported/) ?? [];
      // A type that is inferred from a schema is complete without the schema.
      if (symbol && !symbol.endsWith('Schema')) forgotten.set(symbol, basename(entries[index]));
      message.handled = message.logLevel !== 'error';
    },
  });
  if (apiReportChanged && isCheck) stale.push(config.reportFilePath);
  if (errorCount > 0) process.exitCode = 1;
  for (const name of exportedNames(readFileSync(config.reportTempFilePath, 'utf8'))) exported.add(name);
}
const wanted = configs.map(({ reportFilePath }) => basename(reportFilePath));
for (const name of readdirSync(reportFolder)) {
  if (wanted.includes(name)) continue;
  if (isCheck) stale.push(join(reportFolder, name));
  else rmSync(join(reportFolder, name));
}
rmSync(temporary, { recursive: true });

for (const [symbol, entry] of forgotten)
  if (!exported.has(symbol)) {
    console.error(`${symbol} is part of the public API of ${entry}, but no entry point exports it.`);
    process.exitCode = 1;
  }
if (stale.length > 0) {
  console.error(`The public API has changed; run \`npm run api\` and commit the reports:\n${stale.join('\n')}`);
  process.exitCode = 1;
}
