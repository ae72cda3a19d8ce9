/** Detaching array buffers over native memory, so that nobody reads the memory after it is freed. */

/**
 * Detaches `buffer`: its length becomes 0, and so does that of every array over it.
 *
 * `structuredClone` would copy the memory instead, because Node.js marks buffers over foreign memory as untransferable.
 * `ArrayBuffer.transfer`, which Node.js has since version 22, ignores the mark. So does a byte stream that takes over the
 * buffer of a reader (https://streams.spec.whatwg.org/#readable-byte-stream-controller-pull-into), for Node.js 20.
 */
export function detach(buffer: ArrayBuffer): void {
  if (buffer.byteLength === 0) return;
  // `transfer` is not in the ES2023 library that TypeScript checks against.
  if ('transfer' in buffer && typeof buffer.transfer === 'function') {
    buffer.transfer();
    return;
  }
  const reader = new ReadableStream({ type: 'bytes' }).getReader({ mode: 'byob' });
  void reader.read(new Uint8Array(buffer)); // the promise never settles, because the stream has no source
}
