/** Emptying an array buffer, so that a view of memory that is about to be freed cannot be read afterwards. */

/**
 * Detaches `buffer`: its length becomes 0, and that of every array over it.
 *
 * `structuredClone` would copy instead, because Node.js marks buffers over foreign memory as untransferable. JavaScript's
 * own `transfer` (since Node.js 22) is not bound by that mark, nor is a byte stream taking over the buffer of a reader
 * (https://streams.spec.whatwg.org/#readable-byte-stream-controller-pull-into), which is what Node.js 20 offers.
 */
export function detach(buffer: ArrayBuffer): void {
  if (buffer.byteLength === 0) return;
  // `transfer` is not in the ES2023 library that TypeScript checks against.
  if ('transfer' in buffer && typeof buffer.transfer === 'function') {
    buffer.transfer();
    return;
  }
  const reader = new ReadableStream({ type: 'bytes' }).getReader({ mode: 'byob' });
  void reader.read(new Uint8Array(buffer)); // never answered: the stream has no source
}
