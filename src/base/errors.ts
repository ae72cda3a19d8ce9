/**
 * Every failure a user can meet is one of these: one sentence that says what, where and what to do,
 * and the exit code the command line ends with. Anything else that is thrown is a defect of dino8.
 */
export abstract class Dino8Error extends Error {
  abstract readonly exitCode: 1 | 2;
  override get name(): string {
    return this.constructor.name;
  }
}

/** The request itself is wrong: an option, a path that was mistyped, a prompt without phrases. Exit code 2. */
export class UsageError extends Dino8Error {
  readonly exitCode = 2;
}

/** The request is sound but a file, a device or a run failed it. Exit code 1. */
export class InputError extends Dino8Error {
  readonly exitCode = 1;
}

/** The message of anything that was thrown, on one line. */
export function messageOf(error: unknown): string {
  return (error instanceof Error ? error.message : String(error)).replace(/\s+/g, ' ').trim();
}

/** The `code` of a Node.js system error (`ENOENT`, `ENOSPC`, …), if it is one. */
export function systemCode(error: unknown): string | undefined {
  if (error instanceof Error && 'code' in error && typeof error.code === 'string') return error.code;
  return undefined;
}
