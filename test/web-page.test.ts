/** The page that `dino8 export --target web` writes, in Chromium: it finds what dino8 finds in Node.js, by pixels that are the same. */
import { type ChildProcess, spawn, spawnSync } from 'node:child_process';
import { existsSync, mkdtempSync, readdirSync, readFileSync, rmSync, statSync } from 'node:fs';
import { createServer, type Server } from 'node:http';
import type { AddressInfo } from 'node:net';
import { tmpdir } from 'node:os';
import { extname, join } from 'node:path';
import { type Browser, chromium, type Page } from 'playwright-core';
import sharp from 'sharp';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { UsageError } from '../src/base/errors.ts';
import { packageRoot } from '../src/base/package-root.ts';
import { decodeImage, readImage } from '../src/data/image.ts';
import { Detector } from '../src/detect/detector.ts';
import { type ModelPackage, readPackage } from '../src/models/package/package.ts';
import { copyModel } from '../src/onnx/copy.ts';
import { setMetadata } from '../src/onnx/metadata.ts';
import { readModel } from '../src/onnx/read.ts';
import { quantize } from '../src/pipeline/quantize-step.ts';
import { specializeModel } from '../src/pipeline/specialize-step.ts';
import { engineFiles } from '../src/pipeline/web/engine-files.ts';
import { exportWeb, type WebPage } from '../src/pipeline/web/export-web.ts';

const program = ['chromium', 'chromium-browser', 'google-chrome-stable', 'google-chrome']
  .map((name) => join('/usr/bin', name))
  .find(existsSync);
const isBuilt = existsSync(join(packageRoot, 'dist/web-page.mjs'));
const hasEngine = (await engineFiles()) !== undefined;
const folder = mkdtempSync(join(tmpdir(), 'dino8-web-page-'));
const site = join(folder, 'site');
/** A page for two prompts of fixed phrases, which a server sends without headers. */
const fixed = join(folder, 'fixed');
/** A page of a quantized model, which dino8's engine runs. */
const inEngine = join(folder, 'engine');
const photo = join(packageRoot, 'assets/shapes/val/000004.jpg');
const phrases = 'red square, white cross, blue ring';

let source: ModelPackage;
let written: WebPage;
let quantized: ModelPackage;
let writtenForEngine: WebPage;

beforeAll(async () => {
  source = await readPackage(join(packageRoot, 'assets/nano'));
  if (!isBuilt) return;
  written = await exportWeb({ model: source, output: site });
  if (hasEngine) {
    const model = join(folder, 'dynamic.onnx');
    await quantize({ model: source, recipe: 'dynamic', output: model });
    quantized = await readPackage(model);
    writtenForEngine = await exportWeb({ model: quantized, output: inEngine });
  }
  const prompts = { shapes: phrases, star: 'white star' };
  if (program) await exportWeb({ model: source, output: fixed, prompts, size: { height: 192, width: 256 } });
});
afterAll(() => rmSync(folder, { recursive: true }));

describe.skipIf(!isBuilt)('the folder (it needs `npm run build`)', () => {
  test('onnxruntime-web finds every box of the check, and the page is small', () => {
    expect(written.golden.expected).toBeGreaterThan(2);
    expect(written.golden.agreeing).toBe(written.golden.expected);
    expect(written.pageBytes).toBeLessThan(15e6);
    expect(written.modelBytes).toBe(
      readdirSync(join(site, 'model'))
        .filter((name) => name.endsWith('.onnx'))
        .reduce((sum, name) => sum + statSync(join(site, 'model', name)).size, 0),
    );
  });

  test.skipIf(!hasEngine)(
    "a page of a quantized model has dino8's engine and no onnxruntime-web (it needs clang)",
    () => {
      expect(writtenForEngine.runtime).toBe("dino8's engine");
      expect(writtenForEngine.golden.expected).toBeGreaterThan(1);
      expect(existsSync(join(inEngine, 'onnxruntime'))).toBe(false);
      expect(readdirSync(join(inEngine, 'model')).filter((name) => name.endsWith('.wasm'))).toHaveLength(2);
      expect(writtenForEngine.pageBytes).toBeLessThan(2e6);
      expect(readFileSync(join(inEngine, 'README.md'), 'utf8')).toContain("the page with dino8's engine");
    },
  );

  test('factors of deformable attention are repeated for its points, which the optimization of the page keeps', async () => {
    const { graph } = await readModel(join(site, 'model', 'detect.onnx'));
    // Two factors of each of the 2 layers of the encoder and the 3 of the decoder.
    expect(graph.node.filter(({ opType, name }) => opType === 'Expand' && name.includes('points of'))).toHaveLength(10);
  });

  test('every server gets the headers that allow threads, and nothing comes from another server', () => {
    for (const name of ['_headers', '.htaccess', 'nginx.conf', 'serve.json', 'server.mjs']) {
      const text = readFileSync(join(site, name), 'utf8');
      expect(text).toMatch(
        /Cross-Origin-Opener-Policy"?:?"? .*same-origin|Cross-Origin-Opener-Policy",\s+"value": "same-origin/,
      );
      expect(text).toMatch(/require-corp/);
    }
    for (const name of ['index.html', 'page.js', 'worker.js', 'style.css'])
      expect(readFileSync(join(site, name), 'utf8')).not.toMatch(/https?:\/\//);
    expect(readFileSync(join(site, 'index.html'), 'utf8')).toContain("default-src 'none'");
  });
});

test.skipIf(!isBuilt)('the server refuses what is no port in one sentence', () => {
  const { status, stderr } = spawnSync(process.execPath, [join(site, 'server.mjs'), 'web'], { encoding: 'utf8' });
  expect([status, stderr]).toEqual([1, 'web is no port; give a number such as 8080.\n']);
});

describe('is refused in one sentence', () => {
  const output = join(folder, 'none');
  const refused = (options: object) => exportWeb({ model: source, output, ...options });

  test('for a model that is quantized for another target', async () => {
    const model = copyModel(source.model);
    const layers = { float: 0, dynamic: 0, static: 1, 'weight-only': 0, activations: {} };
    const summary = { recipe: 'static', target: 'tensorrt', layers, techniques: [], floatLayers: [] };
    setMetadata(model, 'dino8.quantization', JSON.stringify(summary));
    await expect(refused({ model: { ...source, model } })).rejects.toThrow(
      /quantized for the target tensorrt, which a browser does not compute in 8 bits/,
    );
    await expect(refused({ model: { ...source, model }, backend: 'webgpu' })).rejects.toThrow(
      /WebGPU computes in floats; export the float model, with `weights` of 8 or 4 bits/,
    );
  });

  test('for a folder with files, a size that the model cannot take, and a picture without phrases', async () => {
    await expect(refused({ output: packageRoot })).rejects.toThrow(/already holds files/);
    await expect(refused({ size: 100 })).rejects.toThrow(/`size` is not made of multiples of 32/);
    await expect(refused({ picture: photo })).rejects.toThrow(/needs `phrases`/);
    await expect(refused({ sizes: [320] })).rejects.toThrow(UsageError);
    await expect(refused({ weights: 4 })).rejects.toThrow(
      /`weights` is for the `backend` webgpu; .* quantize the model/,
    );
    await expect(refused({ floats: 16 })).rejects.toThrow(/`floats` of 16 bits are for the `backend` webgpu/);
    await expect(refused({ weights: 2, backend: 'webgpu' })).rejects.toThrow(/`weights` must be one of 8, 4/);
    await expect(refused({ backend: 'webgpu', runtime: 'dino8' })).rejects.toThrow(
      /`runtime` dino8 is for the `backend` wasm/,
    );
    await expect(refused({ runtime: 'tflite' })).rejects.toThrow(/`runtime` must be one of dino8, onnxruntime-web/);
    expect(existsSync(output)).toBe(false);
  });
});

test.skipIf(!isBuilt)('a model for one size has pictures stretched to it, and no other size', async () => {
  const model = join(folder, 'specialised.onnx');
  await specializeModel({ model: source, output: model, phrases, height: 320, width: 224 });
  const output = join(folder, 'specialised');
  await expect(exportWeb({ model, output, size: 192 })).rejects.toThrow(
    /already made for pixel_values of 1x3x320x224; specialize the model that it was made from/,
  );
  const { golden } = await exportWeb({ model, output });
  expect(golden.agreeing).toBe(golden.expected);
  const { preprocessing } = JSON.parse(readFileSync(join(output, 'model/model.json'), 'utf8'));
  expect(preprocessing).toMatchObject({ do_resize: true, size: { height: 320, width: 224 } });
});

const why = program ? 'in Chromium' : 'in Chromium, which is not installed here';
describe.skipIf(!program || !isBuilt)(why, () => {
  let browser: Browser;
  const servers: ChildProcess[] = [];
  let plain: Server;
  let plainAddress: string;
  let page: Page;
  let address: string;
  const requests: string[] = [];

  beforeAll(async () => {
    address = await serve(site);
    // Sends no headers but the type of a file.
    plain = createServer((request, response) => {
      const path = join(folder, request.url?.endsWith('/') ? `${request.url}index.html` : (request.url ?? ''));
      const type = { '.html': 'text/html', '.js': 'text/javascript', '.css': 'text/css' }[extname(path)];
      response.setHeader('Content-Type', type ?? 'application/octet-stream');
      response.end(existsSync(path) ? readFileSync(path) : '');
    });
    await new Promise<void>((resolve) => plain.listen(0, '127.0.0.1', resolve));
    plainAddress = `http://127.0.0.1:${(plain.address() as AddressInfo).port}`;
    browser = await chromium.launch({ executablePath: program ?? '', args: ['--no-sandbox'] });
    page = await browser.newPage();
    page.on('request', (request) => requests.push(request.url()));
    await open(page, address);
  });
  afterAll(async () => {
    await browser?.close();
    for (const server of servers) server.kill();
    plain?.close();
  });

  /** Starts the server of a page, which isolates it. @returns its address */
  async function serve(page: string): Promise<string> {
    const server = spawn(process.execPath, [join(page, 'server.mjs'), '0'], { stdio: ['ignore', 'pipe', 'inherit'] });
    servers.push(server);
    return new Promise((resolve) => server.stdout.once('data', (line) => resolve(String(line).trim())));
  }

  /** Opens the page, and returns what it says when the model is ready. */
  async function open(tab: Page, url: string): Promise<string> {
    await tab.goto(url);
    return saying(tab, /^Ready|\.$/);
  }

  /** What the page says once it matches. */
  async function saying(tab: Page, expected: RegExp): Promise<string> {
    const locator = tab.locator('#status', { hasText: expected });
    await locator.waitFor({ timeout: 120_000 });
    return (await locator.textContent()) ?? '';
  }

  test('the page finds the boxes of Node.js in a JPEG file, and asks nobody else', async () => {
    await page.fill('#phrases', phrases);
    await page.setInputFiles('#file', photo);
    await saying(page, /box(es)? in/);
    const shown = await page.locator('#boxes li').allTextContents();
    await using detector = await Detector.create(source);
    const found = await detector.detect(await readImage(photo), await detector.encodePrompt(phrases));
    expect(found.length).toBeGreaterThan(0);
    expect(shown).toHaveLength(found.length);
    for (const [index, { label, score }] of found.entries()) {
      expect(shown[index]).toContain(label);
      expect(Math.abs(Number(/[\d.]+$/.exec(shown[index] ?? '')?.[0]) - score)).toBeLessThan(0.01);
    }
    expect(new Set(requests.map((url) => new URL(url).origin))).toEqual(new Set([new URL(address).origin]));
  });

  test('a picture that is too large is refused before it is decoded, and what is none by name; the page goes on', async () => {
    await page.evaluate(`(() => {
      const decode = createImageBitmap;
      globalThis.decoded = 0;
      globalThis.createImageBitmap = (...given) => { decoded++; return decode(...given); };
    })()`);
    // The header of a PNG file: its signature, and the width and the height in the first chunk.
    const header = Buffer.from('89504e470d0a1a0a0000000d4948445200004000000020000802000000', 'hex');
    await page.setInputFiles('#file', { name: 'huge.png', mimeType: 'image/png', buffer: header });
    expect(await saying(page, /huge\.png/)).toMatch(/^huge\.png has 16384x8192 pixels, more than the 67108864/);
    await page.setInputFiles('#file', { name: 'text.png', mimeType: 'image/png', buffer: Buffer.from('no picture') });
    expect(await saying(page, /text\.png/)).toMatch(/^text\.png cannot be decoded as a picture by this browser/);
    expect(await page.evaluate('decoded')).toBe(0);
    await page.fill('#phrases', '');
    await page.setInputFiles('#file', photo);
    expect(await saying(page, /Name what/)).toMatch(/then press Find\.$/);
    expect(await page.evaluate('decoded')).toBe(1);
    await page.fill('#phrases', phrases);
    await page.click('#find');
    expect(await saying(page, /box(es)? in/)).not.toMatch(/^0/);
  });

  test('its server sends the files of the folder alone', async () => {
    for (const path of ['..%2f..%2fetc/passwd', '%2e%2e/fixed/index.html', '..%5cfixed', '%00', '%'])
      expect((await fetch(new URL(path, address))).status, path).toBe(404);
  });

  test('it computes the boxes of the check, with threads', async () => {
    expect(await page.locator('#notices').textContent()).not.toContain('one thread');
    await page.click('summary');
    await page.click('#check');
    expect(await saying(page, /of the check/)).toMatch(/computes the same as dino8/);
    expect(await page.locator('#about').textContent()).toContain('wasm');
  });

  test('the model comes from the cache the second time', async () => {
    requests.length = 0;
    await open(page, address);
    expect(requests.filter((url) => url.includes('/model/')).map((url) => url.split('/').at(-1))).toEqual([
      'model.json',
    ]);
  });

  test('a page without isolation runs on one thread, and says so; one for fixed prompts offers them', async () => {
    const tab = await browser.newPage();
    expect(await open(tab, `${plainAddress}/fixed/`)).toContain('1 thread');
    expect(await tab.locator('#notices').textContent()).toContain('does not isolate this page');
    await tab.setInputFiles('#file', photo);
    expect(await saying(tab, /box(es)? in/)).not.toMatch(/^0/);
    expect(await tab.inputValue('#phrases')).toBe(phrases);
    await tab.selectOption('#prompt', { label: 'star' });
    expect(await tab.inputValue('#phrases')).toBe('white star');
    // The page's security policy refuses functions in texts, so that the boxes are asked for again and again from here.
    await expect
      .poll(() => tab.locator('#boxes li').allTextContents(), { timeout: 60_000 })
      .toSatisfy((boxes: string[]) => boxes.every((box) => box.includes('white star')));
    await tab.click('summary');
    await tab.click('#check');
    expect(await saying(tab, /of the check agree/)).toMatch(/computes the same/);
    await tab.close();
  });

  describe.skipIf(!hasEngine)("of a quantized model in dino8's engine (it needs clang)", () => {
    /** Those that are further from the threshold than a score may differ. */
    const SURE = 0.45;
    const scoreOf = (line: string) => Number(/[\d.]+$/.exec(line)?.[0]);

    test('it finds the boxes of Node.js without onnxruntime-web, says what runs it, and passes its check', async () => {
      const asked: string[] = [];
      const tab = await browser.newPage();
      tab.on('request', (request) => asked.push(request.url()));
      const ready = await open(tab, await serve(inEngine));
      expect(ready).toMatch(/^Ready \(wasm, /);
      await tab.fill('#phrases', phrases);
      await tab.setInputFiles('#file', photo);
      await saying(tab, /box(es)? in/);
      const shown = await tab.locator('#boxes li').allTextContents();
      await using detector = await Detector.create(quantized);
      const found = await detector.detect(await readImage(photo), await detector.encodePrompt(phrases));
      const sure = found.filter(({ score }) => score >= SURE);
      expect(sure.length).toBeGreaterThan(0);
      for (const { label, score } of sure)
        expect(shown).toSatisfy((lines: string[]) =>
          lines.some((line) => line.includes(label) && Math.abs(scoreOf(line) - score) < 0.1),
        );
      expect(shown.length).toBeLessThanOrEqual(found.length + 1);
      expect(asked.filter((url) => url.includes('onnxruntime'))).toEqual([]);
      // The form of the engine for this browser alone.
      expect(asked.filter((url) => url.endsWith('.wasm'))).toHaveLength(1);
      await tab.click('summary');
      expect(await tab.locator('#about').textContent()).toContain(
        `Runs bydino8's engine, ${/\((.*)\)/.exec(ready)?.[1]}`,
      );
      await tab.click('#check');
      expect(await saying(tab, /of the check/)).toMatch(/computes the same as dino8/);
      await tab.close();
    });

    test('threads change no result, and those that fail are said in one sentence', async () => {
      const tab = await browser.newPage();
      await open(tab, await serve(inEngine));
      // As a text, because the test runner rewrites imports.
      const found = await tab.evaluate(`(async () => {
        const { Detector, readPackage } = await import(new URL('dino8.js', document.baseURI));
        const source = await readPackage(new URL('model/', document.baseURI).href);
        const pictureOf = (width, height) => {
          const pixels = Uint8Array.from({ length: width * height * 3 }, (_, at) => (at * 2654435761) >>> 24);
          return { width, height, pixels };
        };
        const pictures = [pictureOf(256, 192), pictureOf(90, 240), pictureOf(300, 100)];
        const prompts = ['red square', 'red square, white cross, blue ring'];
        const [one, three] = [await Detector.create(source, { threads: 1 }), await Detector.create(source, { threads: 3 })];
        let equal = 0;
        for (let run = 0; run < 12; run++) {
          const ask = async (detector) => {
            const prompt = await detector.encodePrompt(prompts[run % 2]);
            return JSON.stringify(await detector.detect(pictures[(run * 2 + (run >> 2)) % 3], prompt, { threshold: 0 }));
          };
          equal += (await ask(one)) === (await ask(three)) ? 1 : 0;
        }
        await one.close();
        await three.close();
        const Thread = Worker;
        const sending = (change) => class extends Thread {
          postMessage(start) {
            super.postMessage({ ...start, ...change });
          }
        };
        const refused = class {
          postMessage() {
            setTimeout(() => this.onerror({}));
          }
          terminate() {}
        };
        const failures = [];
        // A worker that the page does not allow, one without the module, and one that stops because its stack has no memory.
        for (const kind of [refused, sending({ module: undefined }), sending({ stack: 16 })]) {
          globalThis.Worker = kind;
          try {
            const detector = await Detector.create(source, { threads: 2 });
            const prompt = await detector.encodePrompt(prompts[1]);
            for (let run = 0; run < 200; run++) await detector.detect(pictures[0], prompt);
          } catch (error) {
            failures.push(error.message);
          }
        }
        return { equal, failures };
      })()`);
      expect(found).toEqual({
        equal: 12,
        failures: [
          expect.stringMatching(
            /^The threads of the engine do not start \(the page's content security policy .*\); allow `worker-src blob:` .*\.$/,
          ),
          expect.stringMatching(/^The threads of the engine do not start \(TypeError: .*\); .*\.$/),
          expect.stringMatching(/the engine stopped \(unreachable\)\.$/),
        ],
      });
      await tab.close();
    });

    test('without isolation it runs on one thread, and finds boxes too', async () => {
      const tab = await browser.newPage();
      expect(await open(tab, `${plainAddress}/engine/`)).toContain('1 thread)');
      expect(await tab.locator('#notices').textContent()).toContain('does not isolate this page');
      await tab.fill('#phrases', phrases);
      await tab.setInputFiles('#file', photo);
      expect(await saying(tab, /box(es)? in/)).not.toMatch(/^0/);
      await tab.close();
    });
  });

  test('a page without the onnxruntime-web that its model needs says so', async () => {
    const tab = await browser.newPage();
    await tab.route('**/onnxruntime/*', (route) => route.fulfill({ status: 404 }));
    expect(await open(tab, address)).toBe(
      'The model of this page runs by onnxruntime-web, which does not load; copy the whole folder of one export to the server.',
    );
    await tab.close();
  });

  test('pictures have the pixels of Node.js: transparent ones, with an orientation, with a profile', async () => {
    const side = 64;
    const noise = Buffer.from(Array.from({ length: side * side * 4 }, (_, at) => (at * 2654435761) >>> 24));
    const raw = sharp(noise, { raw: { width: side, height: side, channels: 4 } });
    const files = {
      transparent: await raw.clone().png().toBuffer(),
      profiled: await raw.clone().removeAlpha().withIccProfile('p3').png().toBuffer(),
      turned: await raw.clone().removeAlpha().withMetadata({ orientation: 6 }).png().toBuffer(),
    };
    for (const [name, bytes] of Object.entries(files)) {
      const expected = await decodeImage(bytes, name);
      // As a text, because the test runner rewrites imports.
      const pixels = await page.evaluate(`(async () => {
        const { readImage } = await import(new URL('dino8.js', document.baseURI));
        const bytes = Uint8Array.from(atob('${bytes.toString('base64')}'), (character) => character.charCodeAt(0));
        return [...(await readImage(new Blob([bytes]))).pixels];
      })()`);
      expect(pixels, name).toEqual([...expected.pixels]);
    }
  });
});
