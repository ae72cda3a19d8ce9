/** The most memory that this process has had. */
import { readFileSync } from 'node:fs';

const KILOBYTE = 1024;

/**
 * In bytes. On Linux from `VmHWM`, which begins anew with the program: `getrusage` counts what the process that started this
 * one had at that moment, too.
 */
export function peakMemory(): number {
  const status = process.platform === 'linux' ? readFileSync('/proc/self/status', 'utf8') : '';
  const kilobytes = /^VmHWM:\s+(\d+) kB$/m.exec(status)?.[1];
  return (kilobytes === undefined ? process.resourceUsage().maxRSS : Number(kilobytes)) * KILOBYTE;
}
