// Runs a program for WebAssembly and WASI.
//   node kernels/compare/run-wasm.mjs FILE [arguments of the program]
import { readFileSync } from 'node:fs';
import { setFlagsFromString } from 'node:v8';
import { WASI } from 'node:wasi';

const [, , file, ...args] = process.argv;
const bytes = readFileSync(file);
// Node.js 20 has relaxed vectors behind a flag.
if (!WebAssembly.validate(bytes)) setFlagsFromString('--experimental-wasm-relaxed-simd');
const wasi = new WASI({ version: 'preview1', args: [file, ...args], env: {} });
const { instance } = await WebAssembly.instantiate(bytes, wasi.getImportObject());
process.exitCode = wasi.start(instance);
