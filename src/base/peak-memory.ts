/** The peak memory of this process. */
import { readFileSync } from 'node:fs';

const KILOBYTE = 1024;

/**
 * The largest resident size of this process so far, in bytes. On Linux it is read from `VmHWM`, which starts anew with each
 * program; `getrusage` would include the size of the parent process at the moment of the fork.
 */
export function peakMemory(): number {
  const status = process.platform === 'linux' ? readFileSync('/proc/self/status', 'utf8') : '';
  const kilobytes = /^VmHWM:\s+(\d+) kB$/m.exec(status)?.[1];
  return (kilobytes === undefined ? process.resourceUsage().maxRSS : Number(kilobytes)) * KILOBYTE;
}
