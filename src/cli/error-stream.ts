/**
 * The standard error of a process that works, as its parent process sees it. When memory runs out, V8 and the C++ library write
 * stack traces to the standard error and end the process. So the descriptor of the standard error is a pipe to the parent, which holds
 * such text back, and what dino8 itself writes goes to the user by a descriptor of its own.
 */
import { writeSync } from 'node:fs';
import { type Readable, Writable } from 'node:stream';
import { isatty, WriteStream } from 'node:tty';
import { systemCode } from '../base/errors.ts';

/** The descriptor of the stream to the user in a process that works. */
export const USER_ERRORS = 4;

/** Makes `process.stderr` the stream of a descriptor. */
export function useErrorStream(descriptor: number): void {
  const stream = isatty(descriptor) ? new WriteStream(descriptor) : new DescriptorStream(descriptor);
  Object.defineProperty(process, 'stderr', { value: stream, configurable: true });
}

/** Writes to a descriptor at once, so that nothing is lost when the process ends. */
class DescriptorStream extends Writable {
  readonly #descriptor: number;

  constructor(descriptor: number) {
    super({ decodeStrings: true });
    this.#descriptor = descriptor;
  }

  override _write(chunk: Buffer, _: BufferEncoding, done: (error?: Error | null) => void): void {
    try {
      for (let written = 0; written < chunk.length; ) written += writeSome(this.#descriptor, chunk.subarray(written));
      done();
    } catch (error) {
      done(error instanceof Error ? error : new Error(String(error)));
    }
  }
}

/** A pipe that is full for the moment is tried again. */
function writeSome(descriptor: number, bytes: Uint8Array): number {
  try {
    return writeSync(descriptor, bytes);
  } catch (error) {
    if (systemCode(error) !== 'EAGAIN') throw error;
    Atomics.wait(new Int32Array(new SharedArrayBuffer(4)), 0, 0, 5);
    return 0;
  }
}

/** The beginnings of the traces that V8 and the C++ library print when they end a process. */
const LAST_WORDS = /<--- Last few GCs|FATAL ERROR|^#$|# Fatal|terminate called/m;
/** More of them is not kept. */
const KEPT = 1 << 16;

/**
 * Passes on what a process writes to its standard error, up to its last words.
 * @returns the last words so far; an empty text if there are none
 */
export function passOn(stream: Readable): () => string {
  let held = '';
  stream.setEncoding('utf8').on('data', (text: string) => {
    const at = held === '' ? text.search(LAST_WORDS) : 0;
    if (at !== 0) process.stderr.write(at < 0 ? text : text.slice(0, at));
    if (at >= 0) held = (held + text.slice(at)).slice(0, KEPT);
  });
  return () => held;
}
