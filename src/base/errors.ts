/** The errors that dino8 throws, whose messages are sentences that are safe to print. */
import { printable } from './printable.ts';

/**
 * The base of all errors that a user can cause or meet. The message is one sentence that says what failed, where, and what
 * to do about it. Anything else that is thrown is a defect of dino8.
 * @example
 * try {
 *   await quantize({ model: 'detector.onnx', output: 'detector.int8.onnx' });
 * } catch (error) {
 *   if (!(error instanceof Dino8Error)) throw error; // a defect of dino8
 *   console.error(error.message);
 * }
 */
export abstract class Dino8Error extends Error {
  /** @param message is made safe to print: it may name what a file of a stranger contains */
  constructor(message: string, options?: ErrorOptions) {
    super(printable(message), options);
  }

  /** The code with which the command line exits. */
  abstract readonly exitCode: 1 | 2;
  /** The name of the class. */
  override get name(): string {
    return this.constructor.name;
  }
}

/**
 * The request itself is wrong, for example an option, a mistyped path, or a prompt without phrases. The exit code is 2.
 * @example
 * try {
 *   await readRecipe('mixxed');
 * } catch (error) {
 *   if (error instanceof UsageError) console.error(error.message); // names the recipes that exist
 * }
 */
export class UsageError extends Dino8Error {
  readonly exitCode = 2;
}

/**
 * The request is correct, but a file, a device or a run failed. The exit code is 1.
 * @example
 * try {
 *   await readPackage('detector.onnx');
 * } catch (error) {
 *   if (error instanceof InputError) console.error(`The file is damaged: ${error.message}`);
 * }
 */
export class InputError extends Dino8Error {
  readonly exitCode = 1;
}

/**
 * There was not enough memory for what was asked. The message says what to lower. The exit code is 1.
 * @example
 * try {
 *   await detect({ model: 'detector.onnx', images: ['photos/'], phrases: ['person'] });
 * } catch (error) {
 *   if (error instanceof MemoryError) console.error(error.message);
 * }
 */
export class MemoryError extends Dino8Error {
  readonly exitCode = 1;
}

/** The codes of errors of Node.js and of the system that mean a lack of memory. */
const MEMORY_CODES = new Set([
  'ENOMEM',
  'ERR_MEMORY_ALLOCATION_FAILED',
  'ERR_WORKER_OUT_OF_MEMORY',
  'ERR_STRING_TOO_LONG',
]);
/** The messages of V8, C++, WebAssembly, WebGPU, the loader of libraries, ONNX Runtime and libvips when an allocation fails. */
const MEMORY_TEXT =
  /array buffer allocation failed|the value of "size" is out of range|invalid (?:typed )?array (?:buffer )?length|invalid string length|bad_alloc|bad allocation|failed to allocate memory|cannot allocate memory|unable to allocate|could not allocate memory|cannot enlarge memory|failed to map segment|failed to create gpu buffer|exceeding maxstoragebufferbindingsize|out of memory/i;

/** True if a text, such as a message of ONNX Runtime, says that there was not enough memory. */
export const saysOutOfMemory = (text: string): boolean => MEMORY_TEXT.test(text);

/** True if a thrown value means that there was not enough memory. */
export function isOutOfMemory(error: unknown): boolean {
  if (error instanceof MemoryError) return true;
  if (!(error instanceof Error) || error instanceof Dino8Error) return false;
  return MEMORY_CODES.has(systemCode(error) ?? '') || saysOutOfMemory(error.message);
}

/**
 * A thrown value as an error that says that memory ran out and what to lower, if it means that; otherwise the value itself.
 * @param lower what takes memory, in the words of the caller
 */
export function withMemoryAdvice(error: unknown, lower: readonly string[]): unknown {
  if (error instanceof MemoryError || !isOutOfMemory(error)) return error;
  const advice = [...lower, 'the size of the pictures'].join(', ').replace(/, ([^,]*)$/, ' or $1');
  return new MemoryError(
    `There is not enough memory (${messageOf(error).replace(/\.$/, '')}); give the process more, or lower ${advice}.`,
    { cause: error },
  );
}

/** The name of the warnings that dino8 gives by `process.emitWarning`: work goes on, but not as it should. */
export const DINO8_WARNING = 'Dino8Warning';

/** The message of any thrown value, on one line. */
export function messageOf(error: unknown): string {
  return (error instanceof Error ? error.message : String(error)).replace(/\s+/g, ' ').trim();
}

/** The `code` of a Node.js system error, such as `ENOENT` or `ENOSPC`; undefined for other errors. */
export function systemCode(error: unknown): string | undefined {
  if (error instanceof Error && 'code' in error && typeof error.code === 'string') return error.code;
  return undefined;
}
