/** Files are recognised by their content. */
import { gzipSync } from 'node:zlib';
import { expect, test } from 'vitest';
import { contentKind, foreignKind } from './content-kind.ts';

const text = (value: string) => new Uint8Array(Buffer.from(value, 'latin1'));
const tar = new Uint8Array(512);
tar.set(text('ustar'), 257);
const safetensors = new Uint8Array(Buffer.concat([Buffer.from([2, 0, 0, 0, 0, 0, 0, 0]), Buffer.from('{}')]));

test.each([
  ['empty', new Uint8Array(0)],
  ['lfs', text(`version https://git-lfs.github.com/spec/v1\noid sha256:${'0'.repeat(64)}\nsize 694000000\n`)],
  ['html', text('<!DOCTYPE html><html><body>Sign in</body></html>')],
  ['html', text('\n  <html>')],
  ['json', text('{"error": "Repository not found"}')],
  ['json', text('\xef\xbb\xbf [1]')],
  ['zip', text('PK\x03\x04...')],
  ['pickle', text('\x80\x02\x8a\nl')],
  ['safetensors', safetensors],
  ['gzip', new Uint8Array(gzipSync('x'))],
  ['tar', tar],
  ['7z', text("7z\xbc\xaf'\x1c")],
  ['rar', text('Rar!\x1a\x07\x01\x00')],
  ['gguf', text('GGUF\x03\0\0\0')],
  ['hdf5', text('\x89HDF\r\n\x1a\n')],
  ['numpy', text('\x93NUMPY\x01\0')],
  ['picture', text('\x89PNG\r\n\x1a\n')],
  ['unknown', text('\x08\x0a\x12\x05dino8')], // an ONNX file begins like this
  ['unknown', text('{')],
] as const)('%s', (kind, bytes) => {
  expect(contentKind(bytes)).toBe(kind);
});

test('kinds that are not read say what to do', () => {
  for (const kind of ['empty', 'lfs', 'html', 'gzip', 'tar', 'gguf'] as const) expect(foreignKind(kind)).toMatch(/;|,/);
  for (const kind of ['zip', 'pickle', 'safetensors', 'json', 'unknown'] as const)
    expect(foreignKind(kind)).toBeUndefined();
});
