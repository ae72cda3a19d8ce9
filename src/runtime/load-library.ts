/**
 * Libraries with native code have builds for some platforms only. They are loaded when they are first needed: importing dino8
 * works everywhere, and a build that is missing is an error of the work that needs it.
 */
import { createRequire } from 'node:module';
import { RuntimeError } from './error.ts';

const load = createRequire(import.meta.url);

/** What to do where a package has a build that was not installed. */
const INSTALL_AGAIN =
  "install dino8's packages on this machine again, with their optional dependencies (`npm install --include=optional`), or use one of the platforms that dino8's README lists";

/** What to do where ONNX Runtime does not load. It has no build for musl, the C library of Alpine Linux. */
export const runtimeAdvice = (): string =>
  hasMusl() ? 'use a Linux with glibc, such as Debian, Ubuntu or the image node:22-slim' : INSTALL_AGAIN;

/** Names the platform in errors, such as "linux x64" or "linux x64 with musl". */
export function platformName(): string {
  return `${process.platform} ${process.arch}${hasMusl() ? ' with musl' : ''}`;
}

function hasMusl(): boolean {
  if (process.platform !== 'linux') return false;
  const report: unknown = process.report.getReport();
  const header = typeof report === 'object' && report && 'header' in report ? report.header : undefined;
  return typeof header === 'object' && header !== null && !('glibcVersionRuntime' in header);
}

/**
 * Loads a package with native code.
 *
 * @param purpose what dino8 does with it, for the error
 * @returns the package, whose type the caller knows
 * @throws RuntimeError that names the platform and says what to do
 */
export function loadLibrary(name: string, purpose: string): unknown {
  try {
    return load(name);
  } catch (error) {
    throw doesNotLoad(name, purpose, error);
  }
}

/** The error of a package that has no build for this platform, or whose build does not load. */
export function doesNotLoad(name: string, purpose: string, error: unknown): RuntimeError {
  return new RuntimeError(
    `${name}, ${purpose}, does not load on ${platformName()} (${firstLine(error)}); ${INSTALL_AGAIN}.`,
  );
}

/** The first line of a message: advice of the library, which follows, is about its own installation. */
export function firstLine(error: unknown): string {
  const [line = ''] = (error instanceof Error ? error.message : String(error)).trim().split('\n');
  return line.replace(/[.:\s]+$/, '');
}
