/**
 * The base of all errors that a user can cause or meet. The message is one sentence that says what failed, where, and what
 * to do about it. Anything else that is thrown is a defect of dino8.
 */
export abstract class Dino8Error extends Error {
  /** The code with which the command line exits. */
  abstract readonly exitCode: 1 | 2;
  /** The name of the class. */
  override get name(): string {
    return this.constructor.name;
  }
}

/** The request itself is wrong, for example an option, a mistyped path, or a prompt without phrases. The exit code is 2. */
export class UsageError extends Dino8Error {
  readonly exitCode = 2;
}

/** The request is correct, but a file, a device or a run failed. The exit code is 1. */
export class InputError extends Dino8Error {
  readonly exitCode = 1;
}

/** The message of any thrown value, on one line. */
export function messageOf(error: unknown): string {
  return (error instanceof Error ? error.message : String(error)).replace(/\s+/g, ' ').trim();
}

/** The `code` of a Node.js system error, such as `ENOENT` or `ENOSPC`; undefined for other errors. */
export function systemCode(error: unknown): string | undefined {
  if (error instanceof Error && 'code' in error && typeof error.code === 'string') return error.code;
  return undefined;
}
