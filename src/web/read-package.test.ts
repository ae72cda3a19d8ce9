/** A detector is read from a server as it was exported, or refused in one sentence that names the file. */
import { createHash } from 'node:crypto';
import { readFileSync } from 'node:fs';
import { createServer, type Server } from 'node:http';
import type { AddressInfo } from 'node:net';
import { join } from 'node:path';
import sharp from 'sharp';
import { afterAll, beforeAll, beforeEach, describe, expect, test, vi } from 'vitest';
import { InputError, UsageError } from '../base/errors.ts';
import { packageRoot } from '../base/package-root.ts';
import { Detector } from './detector.ts';
import { supportedVariants } from './engine/engine-variants.ts';
import { webAssembly } from './engine/web-assembly.ts';
import { useThreads } from './onnx-runtime.ts';
import { readImage } from './read-image.ts';
import { readPackage } from './read-package.ts';
import { undecodableAlike } from './undecodable-alike.ts';

const nano = (name: string) => JSON.parse(readFileSync(join(packageRoot, 'assets/nano', name), 'utf8'));
const detect = Buffer.from('the half that detects');
const pixels = Buffer.from('the model of pixels');
const describeFile = (name: string, bytes: Uint8Array) => ({
  name,
  bytes: bytes.length,
  sha256: createHash('sha256').update(bytes).digest('hex'),
});
const prompt = {
  phrases: ['x'],
  chunk: { tokens: [101, 1060, 1012, 102], phrases: [{ phrase: 0, begin: 1, end: 2 }] },
};
const manifest = {
  format: 1,
  dino8: '0.1.0',
  name: 'nano',
  backend: 'wasm',
  precision: 'float',
  config: nano('config.json'),
  preprocessing: nano('preprocessor_config.json'),
  tokenizer: { tokenizer: nano('tokenizer.json'), config: nano('tokenizer_config.json') },
  prompts: [prompt],
  files: { detect: describeFile('detect.onnx', detect), pixels: describeFile('pixels.onnx', pixels) },
};

let server: Server;
let address: string;
let files: Map<string, Buffer | string>;
beforeAll(async () => {
  server = createServer((request, response) => {
    const content = files.get((request.url ?? '').replace(/^\/model\//, ''));
    response.statusCode = content === undefined ? 404 : 200;
    response.end(content);
  });
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  address = `http://127.0.0.1:${(server.address() as AddressInfo).port}/model`;
});
afterAll(() => server.close());
beforeEach(() => {
  files = new Map<string, Buffer | string>([
    ['model.json', JSON.stringify(manifest)],
    ['detect.onnx', detect],
    ['pixels.onnx', pixels],
  ]);
});

test('its files and its description arrive, with the progress of the download', async () => {
  const steps: number[] = [];
  const notices: string[] = [];
  const { files: read, manifest: found } = await readPackage(address, {
    onProgress: ({ done, total }) => steps.push(done / total),
    onNotice: (sentence) => notices.push(sentence),
  });
  expect(Buffer.from(read.detect)).toEqual(detect);
  expect(Buffer.from(read.pixels)).toEqual(pixels);
  expect(found.prompts).toEqual([prompt]);
  expect(steps.at(-1)).toBe(1);
  // Node.js has no cache of pages.
  expect(notices.join()).toMatch(/is not kept by the browser .* downloaded each time/);
});

describe('a package with the engine', () => {
  const relaxed = Buffer.from('the engine in its relaxed form');
  const simd = Buffer.from('the engine by vectors alone');
  const engine = {
    relaxed: describeFile('dino8-engine-relaxed.wasm', relaxed),
    simd: describeFile('dino8-engine.wasm', simd),
  };
  const [variant = 'simd'] = supportedVariants();
  const { name } = engine[variant];
  beforeEach(() => {
    files.set('model.json', JSON.stringify({ ...manifest, engine }));
    // The other form would not be found.
    files.set(name, { relaxed, simd }[variant]);
  });

  test('arrives with the form that runs here alone, whose bytes are a part of the progress', async () => {
    const totals = new Set<number>();
    const read = await readPackage(address, { onProgress: ({ total }) => totals.add(total) });
    expect(Buffer.from(read.engine ?? [])).toEqual({ relaxed, simd }[variant]);
    expect([...totals]).toEqual([engine[variant].bytes + detect.length + pixels.length]);
  });

  test('is refused if the engine is damaged, of another version, or cannot run here', async () => {
    await expect(Detector.create(await readPackage(address), {})).rejects.toThrow(/The engine does not start here/);
    files.set(name, Buffer.from('THE'.padEnd(engine[variant].bytes)));
    await expect(readPackage(address)).rejects.toThrow(/dino8-engine.*\.wasm .* SHA-256 differs/);
    const validate = vi.spyOn(webAssembly, 'validate').mockReturnValue(false);
    try {
      await expect(readPackage(address)).rejects.toThrow(/no vectors in WebAssembly \(SIMD\)/);
    } finally {
      validate.mockRestore();
    }
  });

  test('needs no onnxruntime-web, without which one without the engine says which option to give', async () => {
    files.set('model.json', JSON.stringify(manifest));
    await expect(Detector.create(await readPackage(address))).rejects.toThrow(
      /give Detector\.create the option `runtime`/,
    );
  });
});

describe('is refused', () => {
  test.each([
    [
      'another file of the same length',
      'detect.onnx',
      Buffer.from('the half that detectz'),
      /detect\.onnx .* SHA-256 differs/,
    ],
    ['a file that is cut off', 'detect.onnx', detect.subarray(3), /detect\.onnx .* fewer than 21 bytes/],
    ['a file that is too long', 'detect.onnx', Buffer.concat([detect, detect]), /detect\.onnx .* more than 21 bytes/],
    ['a page in place of the description', 'model.json', '<html>', /model\.json is no JSON .* --target web/],
  ])('%s', async (_, name, content, message) => {
    files.set(name, content);
    await expect(readPackage(address)).rejects.toThrow(message);
    await expect(readPackage(address)).rejects.toThrow(InputError);
  });

  test('a description without end, which is not read to its end, and a download that breaks off', async () => {
    let sent = 0;
    const endless = createServer((request, response) => {
      if (request.url?.endsWith('model.json')) {
        const part = Buffer.alloc(1 << 20, ' ');
        const send = () => {
          while (!response.destroyed && sent++ < 512 && response.write(part));
        };
        response.on('drain', send);
        send();
      } else response.end();
    });
    const broken = createServer((_, response) => {
      response.writeHead(200, { 'Content-Length': 1000 });
      response.write('{', () => response.destroy());
    });
    try {
      for (const each of [endless, broken]) await new Promise<void>((resolve) => each.listen(0, '127.0.0.1', resolve));
      const of = (each: Server) => `http://127.0.0.1:${(each.address() as AddressInfo).port}/`;
      await expect(readPackage(of(endless))).rejects.toThrow(/too large for a model\.json/);
      expect(sent).toBeLessThan(200);
      await expect(readPackage(of(broken))).rejects.toThrow(/model\.json cannot be downloaded \(/);
    } finally {
      for (const each of [endless, broken]) each.close().closeAllConnections();
    }
  });

  test('the address of a folder that begins with two slashes is of the same server', async () => {
    await expect(readPackage(`${new URL(address).origin}//other.invalid/model`)).rejects.toThrow(
      /127\.0\.0\.1:\d+\/\/other\.invalid\/model\/model\.json cannot be downloaded: the server answers 404/,
    );
    await expect(readPackage('data:text/plain,x')).rejects.toThrow(/no address of a folder/);
  });

  test.each([
    ['a file in another folder', { files: { ...manifest.files, detect: describeFile('../detect.onnx', detect) } }],
    ['a size without end', { files: { ...manifest.files, detect: { ...manifest.files.detect, bytes: 2 ** 40 } } }],
    ['a later form', { format: 2 }],
    ['neither text encoder nor phrases', { prompts: undefined }],
    ['one form of the engine only', { engine: { simd: describeFile('dino8-engine.wasm', detect) } }],
    ['a phrase outside of the prompt', { prompts: [{ ...prompt, phrases: [] }] }],
  ])('a description with %s', async (_, change) => {
    files.set('model.json', JSON.stringify({ ...manifest, ...change }));
    await expect(readPackage(address)).rejects.toThrow(/model\.json is not as expected/);
  });

  test('a file that is missing, a server that does not answer, and a download that was stopped', async () => {
    files.delete('pixels.onnx');
    await expect(readPackage(address)).rejects.toThrow(/pixels\.onnx cannot be downloaded: the server answers 404/);
    await expect(readPackage('http://127.0.0.1:9/model')).rejects.toThrow(/cannot be downloaded \(/);
    const reason = new Error('enough');
    await expect(readPackage(address, { signal: AbortSignal.abort(reason) })).rejects.toBe(reason);
  });

  test('threads on a page without isolation, and a model for WebGPU where there is none', async () => {
    const runtime = { env: { wasm: {} }, InferenceSession: {}, Tensor: {} } as never;
    expect(() => useThreads(runtime, 4)).toThrow(/Cross-Origin-Opener-Policy/);
    expect(() => useThreads(runtime, 4)).toThrow(UsageError);
    expect(useThreads(runtime, undefined)).toBe(1);
    files.set('model.json', JSON.stringify({ ...manifest, backend: 'webgpu' }));
    await expect(Detector.create(await readPackage(address), { runtime })).rejects.toThrow(
      /WebGPU, which this browser/,
    );
  });

  test('a model in floats of 16 bits where the graphics processor has none', async () => {
    const runtime = { env: { wasm: {} }, InferenceSession: {}, Tensor: {} } as never;
    vi.stubGlobal('navigator', { gpu: { requestAdapter: async () => ({ features: new Set(['subgroups']) }) } });
    files.set('model.json', JSON.stringify({ ...manifest, backend: 'webgpu', floats: 16 }));
    try {
      await expect(Detector.create(await readPackage(address), { runtime })).rejects.toThrow(
        /floats of 16 bits, which the graphics processor of this browser does not have/,
      );
    } finally {
      vi.unstubAllGlobals();
    }
  });

  test('pictures of which a browser makes other colours', async () => {
    const picture = sharp({ create: { width: 8, height: 8, channels: 3, background: 'teal' } });
    const inks = await picture.clone().toColourspace('cmyk').withIccProfile('cmyk').jpeg().toBuffer();
    const deep = await picture.clone().toColourspace('grey16').png().toBuffer();
    await expect(readImage(new Blob([new Uint8Array(inks)]))).rejects.toThrow(/stores inks \(CMYK\)/);
    await expect(readImage(new Blob([new Uint8Array(deep)]))).rejects.toThrow(/grayscale of 16 bits/);
    expect(undecodableAlike(await picture.clone().jpeg().toBuffer())).toBeUndefined();
    expect(undecodableAlike(await picture.clone().png().toBuffer())).toBeUndefined();
    expect(undecodableAlike(new Uint8Array([0xff, 0xd8, 0xff, 0xe0, 0, 0]))).toBeUndefined();
  });
});
