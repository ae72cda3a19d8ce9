/** The identity of a file of samples, found without reading the file. */
import { statSync } from 'node:fs';
import { basename } from 'node:path';

/**
 * The name and the size of a file, as one line. The folder is left out, so that parts of a calibration on different machines
 * belong together.
 */
export function fileIdentity(path: string): string {
  return `${basename(path)} ${statSync(path, { throwIfNoEntry: false })?.size ?? 0}\n`;
}
