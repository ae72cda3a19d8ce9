/** Pictures from the standard input. */
import { InputError, UsageError } from '../base/errors.ts';
import { fileKind } from '../data/file-kind.ts';
import { MAX_PICTURE_BYTES } from '../data/image.ts';
import type { PictureBytes } from '../pipeline/picture-sources.ts';

/** The name by which the standard input is asked for. */
const STANDARD_INPUT = '-';

/**
 * The names, with the picture from the standard input in the place of "-".
 * @throws UsageError if nothing is piped into it, or no picture; InputError if it is too large
 */
export async function withStandardInput(names: readonly string[]): Promise<(string | PictureBytes)[]> {
  if (!names.includes(STANDARD_INPUT)) return [...names];
  if (process.stdin.isTTY)
    throw new UsageError(
      '"-" is a picture from the standard input, and nothing is piped into it; pipe the file of a picture.',
    );
  const parts: Buffer[] = [];
  let size = 0;
  for await (const part of process.stdin) {
    size += part.length;
    if (size > MAX_PICTURE_BYTES)
      throw new InputError(`The standard input has more than the ${MAX_PICTURE_BYTES} bytes that a picture may have.`);
    parts.push(part);
  }
  const bytes = Buffer.concat(parts);
  const kind = fileKind(bytes);
  if (kind === undefined)
    throw new UsageError(
      'The standard input holds no picture; pipe the file of a picture, or pass a list of names on with xargs, as in: xargs -a names.txt dino8 detect --phrases "person"',
    );
  if (kind === 'video') throw new UsageError('The standard input holds a video; name its file instead.');
  return names.map((name) => (name === STANDARD_INPUT ? { name: 'stdin', bytes } : name));
}
