/** Reads a detector from a web server: `model.json` and the files of its models, which the browser keeps. */
import { z } from 'zod';
import {
  abortSignal,
  callback,
  checkOptions,
  checkValue,
  either,
  type OptionSchemas,
  optional,
  text,
} from '../base/check-options.ts';
import { InputError, MemoryError, messageOf } from '../base/errors.ts';
import type { WorkOptions } from '../base/progress.ts';
import { RuntimeError } from '../runtime/error.ts';
import { supportedVariants } from './engine/engine-module.ts';
import { MANIFEST, parseManifest, type WebFile, type WebManifest, type WebPackage } from './manifest.ts';

/** Options of `readPackage`. */
export interface ReadPackageOptions extends WorkOptions {
  /**
   * The name of the browser's cache in which models are kept, so that they are not downloaded again; "dino8" by default, and false
   * keeps nothing. A model whose content has changed on the server is downloaded, and the former one is removed.
   */
  readonly cache?: string | false | undefined;
}

const readSchemas: OptionSchemas<ReadPackageOptions> = {
  cache: optional(either('the name of a cache, or false', text, z.literal(false))),
  onProgress: optional(callback),
  onNotice: optional(callback),
  signal: optional(abortSignal),
};

const addressSchema = either('the address of a folder, as a text or a URL', text, z.instanceof(URL));

/** The largest `model.json`: vocabularies have up to some megabytes. */
const LARGEST_MANIFEST = 64 << 20;
const CACHE = 'dino8';

/**
 * Reads a detector that `dino8 export --target web` wrote.
 *
 * @param address the folder with `model.json`, relative to the page
 * @throws InputError if a file is missing, damaged, or not the one that `model.json` describes; the reason of `signal` if that stopped
 * the download
 * @example
 * const detector = await readPackage('model/', { onProgress: ({ done, total }) => console.log(done / total) });
 */
export async function readPackage(address: string | URL, options: ReadPackageOptions = {}): Promise<WebPackage> {
  checkValue('The address', addressSchema, address);
  checkOptions('readPackage', readSchemas, options);
  const folder = folderAddress(address);
  const manifest = await readManifest(new URL(MANIFEST, folder), options);
  const { text: encoder, detect, pixels } = manifest.files;
  const engine = manifest.engine && engineFile(manifest.engine);
  const total = [engine, encoder, detect, pixels].reduce((sum, file) => sum + (file?.bytes ?? 0), 0);
  let done = 0;
  const advance = (bytes: number) => {
    done += bytes;
    options.onProgress?.({ label: 'Loading the model', done, total });
  };
  const cache = await openCache(options);
  const read = (file: WebFile) => readFile(new URL(file.name, folder), file, cache, advance, options);
  return {
    source: folder.href,
    manifest,
    ...(engine && { engine: await read(engine) }),
    files: { ...(encoder && { text: await read(encoder) }), detect: await read(detect), pixels: await read(pixels) },
  };
}

/** The file of the engine in the fastest form that runs here. @throws RuntimeError if none does */
function engineFile(files: NonNullable<WebManifest['engine']>): WebFile {
  const [variant] = supportedVariants();
  if (!variant)
    throw new RuntimeError(
      'This browser has no vectors in WebAssembly (SIMD), which the model needs; use a newer one.',
    );
  return files[variant];
}

function folderAddress(address: string | URL): URL {
  const base = globalThis.location?.href;
  try {
    const url = new URL(address, base);
    if (!url.pathname.endsWith('/')) url.pathname += '/';
    return new URL('.', url);
  } catch {
    throw new InputError(
      `${String(address)} is no address of a folder; give one such as model/ or https://host/model/.`,
    );
  }
}

async function readManifest(url: URL, options: ReadPackageOptions): Promise<WebManifest> {
  // The server is asked each time whether it has changed, so that it describes the files that are there now.
  const response = await get(url, { cache: 'no-cache', signal: options.signal });
  const parts: Uint8Array<ArrayBuffer>[] = [];
  let length = 0;
  for await (const part of partsOf(response, url, options)) {
    length += part.length;
    if (length > LARGEST_MANIFEST) throw new InputError(`${url.href} is too large for a ${MANIFEST}.`);
    parts.push(part);
  }
  const content = await new Blob(parts).text();
  try {
    return parseManifest(JSON.parse(content), url.href);
  } catch (error) {
    if (!(error instanceof SyntaxError)) throw error;
    throw new InputError(
      `${url.href} is no JSON (${messageOf(error)}); give the address of a folder that dino8 exported with --target web.`,
    );
  }
}

async function get(url: URL, { signal, cache }: { signal?: AbortSignal | undefined; cache?: RequestCache }) {
  let response: Response;
  try {
    response = await fetch(url, { ...(signal && { signal }), ...(cache && { cache }) });
  } catch (error) {
    throw notDownloaded(url, error, signal);
  }
  if (!response.ok)
    throw new InputError(
      `${url.href} cannot be downloaded: the server answers ${response.status} ${response.statusText}.`,
    );
  return response;
}

/** The error of a download that failed on its way. @throws the reason of `signal` if that stopped it */
function notDownloaded(url: URL, error: unknown, signal: AbortSignal | undefined): InputError {
  signal?.throwIfAborted();
  return new InputError(
    `${url.href} cannot be downloaded (${messageOf(error)}); check the connection, and that the server allows this page to read it.`,
  );
}

/** The content of an answer as it arrives. What is not asked for any more is not downloaded. */
async function* partsOf(
  { body }: Response,
  url: URL,
  { signal }: ReadPackageOptions,
): AsyncGenerator<Uint8Array<ArrayBuffer>> {
  const reader = body?.getReader();
  const next = async () => {
    try {
      return await reader?.read();
    } catch (error) {
      throw notDownloaded(url, error, signal);
    }
  };
  try {
    for (let part = await next(); part && !part.done; part = await next()) yield part.value;
  } finally {
    await reader?.cancel().catch(() => undefined);
  }
}

/** The browser's cache; undefined where nothing is kept, of which the caller is told. */
async function openCache({ cache = CACHE, onNotice }: ReadPackageOptions): Promise<Cache | undefined> {
  if (cache === false) return undefined;
  try {
    if (!globalThis.caches) throw new Error('only pages by https or on localhost have a cache');
    return await caches.open(cache);
  } catch (error) {
    onNotice?.(`The model is not kept by the browser (${messageOf(error)}), so it is downloaded each time.`);
    return undefined;
  }
}

async function readFile(
  url: URL,
  file: WebFile,
  cache: Cache | undefined,
  advance: (bytes: number) => void,
  options: ReadPackageOptions,
): Promise<Uint8Array<ArrayBuffer>> {
  const key = new URL(url);
  key.searchParams.set('sha256', file.sha256);
  const kept = cache && (await keptFile(cache, key, file, options));
  if (kept) {
    advance(kept.length);
    return kept;
  }
  const bytes = await download(url, file, advance, options);
  if ((await isOf(bytes, file)) === false)
    throw new InputError(
      `${url.href} is not the file that ${MANIFEST} describes: its SHA-256 differs; load the page again, and export the folder again if that does not help.`,
    );
  if (cache) await keep(cache, key, bytes, options);
  return bytes;
}

/** A file of the cache; undefined if it is not there, is another one, or cannot be read. */
async function keptFile(
  cache: Cache,
  key: URL,
  file: WebFile,
  { onNotice }: ReadPackageOptions,
): Promise<Uint8Array<ArrayBuffer> | undefined> {
  try {
    const kept = await cache.match(key);
    if (!kept) return undefined;
    const bytes = new Uint8Array(await kept.arrayBuffer());
    if (bytes.length === file.bytes && (await isOf(bytes, file)) !== false) return bytes;
    await cache.delete(key);
  } catch (error) {
    onNotice?.(`What the browser kept of the model cannot be read (${messageOf(error)}), so it is downloaded again.`);
  }
  return undefined;
}

async function download(
  url: URL,
  { bytes: size }: WebFile,
  advance: (bytes: number) => void,
  options: ReadPackageOptions,
): Promise<Uint8Array<ArrayBuffer>> {
  const response = await get(url, { signal: options.signal });
  const other = (length: string) =>
    new InputError(
      `${url.href} is not the file that ${MANIFEST} describes: it has ${length} than ${size} bytes; load the page again, and export the folder again if that does not help.`,
    );
  let bytes: Uint8Array<ArrayBuffer>;
  try {
    bytes = new Uint8Array(size);
  } catch (error) {
    throw new MemoryError(
      `The browser gave too little memory for ${url.href} of ${size} bytes (${messageOf(error)}); close other tabs, or use a smaller model.`,
    );
  }
  let length = 0;
  for await (const part of partsOf(response, url, options)) {
    if (length + part.length > size) throw other('more');
    bytes.set(part, length);
    length += part.length;
    advance(part.length);
  }
  if (length < size) throw other('fewer');
  return bytes;
}

/** Whether bytes are of a file; undefined where the browser cannot tell, on pages without https. */
async function isOf(bytes: Uint8Array<ArrayBuffer>, { sha256 }: WebFile): Promise<boolean | undefined> {
  if (!globalThis.crypto?.subtle) return undefined;
  const digest = new Uint8Array(await crypto.subtle.digest('SHA-256', bytes));
  return Array.from(digest, (byte) => byte.toString(16).padStart(2, '0')).join('') === sha256;
}

/** Keeps a file, and removes those of its address with another content. */
async function keep(
  cache: Cache,
  key: URL,
  bytes: Uint8Array<ArrayBuffer>,
  { onNotice }: ReadPackageOptions,
): Promise<void> {
  try {
    for (const request of await cache.keys(key, { ignoreSearch: true })) await cache.delete(request);
    await cache.put(key, new Response(bytes));
  } catch (error) {
    onNotice?.(`The model is not kept by the browser (${messageOf(error)}), so it is downloaded each time.`);
  }
}
