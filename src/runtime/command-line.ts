/**
 * The length of this process's command line, which ONNX Runtime limits.
 *
 * ONNX Runtime 1.30 matches the command line of its process (/proc/self/cmdline) against a regular expression that recurses
 * once for each character. At about 15,000 characters the stack is exhausted and the process dies. A long prompt or a few
 * hundred file names reach that length.
 */
import { readFileSync } from 'node:fs';

/** The longest command line, in bytes, with which ONNX Runtime is started: half of what crashed with a stack of 8 MiB. */
export const LONGEST_COMMAND_LINE = 8192;

/** Returns the length of this process's command line in bytes, or 0 where there is no /proc and so no such limit. */
export function commandLineLength(): number {
  try {
    return readFileSync('/proc/self/cmdline').length;
  } catch {
    return 0;
  }
}
