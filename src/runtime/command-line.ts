/**
 * ONNX Runtime 1.30 matches the command line of its process (/proc/self/cmdline) against a regular expression that
 * recurses once per character: at some 15,000 characters the stack is exhausted and the process dies. A long prompt or
 * a few hundred file names reach that easily.
 */
import { readFileSync } from 'node:fs';

/** Half of the length that was seen to crash with the usual stack of 8 MiB. */
export const LONGEST_COMMAND_LINE = 8192;

/** The length of this process's command line in bytes; 0 where there is no /proc, and so no such trouble. */
export function commandLineLength(): number {
  try {
    return readFileSync('/proc/self/cmdline').length;
  } catch {
    return 0;
  }
}
