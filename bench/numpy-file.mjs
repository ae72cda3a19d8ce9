// Float arrays in NumPy's format, so that every contender reads the same numbers.
import { readFileSync, writeFileSync } from 'node:fs';
import { floats } from '../dist/runtime.mjs';

/** Writes a Float32Array of a shape. */
export function writeArray(path, data, shape) {
  const text = `{'descr': '<f4', 'fortran_order': False, 'shape': (${shape.join(', ')},), }`;
  const header = `${text.padEnd(Math.ceil((text.length + 11) / 64) * 64 - 11)}\n`;
  const prefix = Buffer.from([0x93, 0x4e, 0x55, 0x4d, 0x50, 0x59, 1, 0, header.length & 255, header.length >> 8]);
  writeFileSync(path, Buffer.concat([prefix, Buffer.from(header), Buffer.from(data.buffer)]));
}

/** Reads what `writeArray` wrote, as a tensor. */
export function readArray(path) {
  const file = readFileSync(path);
  const start = 10 + file.readUInt16LE(8);
  const shape = /'shape': \(([\d, ]*)\)/
    .exec(file.toString('latin1', 10, start))[1]
    .split(',')
    .filter(Boolean)
    .map(Number);
  const bytes = new Uint8Array(file.subarray(start));
  return floats(new Float32Array(bytes.buffer), shape);
}
