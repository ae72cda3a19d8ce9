/** Whether statistics are those of a calibration that came to its end. */
import { InputError } from '../base/errors.ts';
import type { CalibrationHead } from '../quant/observe/statistics-file.ts';

/**
 * Refuses the state of an interrupted calibration, which has the form of a statistics file and knows fewer images.
 *
 * @param path the name of the statistics in messages
 * @throws InputError if not all images of the calibration, or of its part, are done
 */
export function checkFinished({ done, images, shard }: CalibrationHead, path: string): void {
  // Part i of n has the images i, i + n, i + 2n, ... of all.
  const expected = shard ? Math.ceil((images - shard.index + 1) / shard.count) : images;
  if (done !== expected)
    throw new InputError(
      `${path} knows ${done} of the ${expected} images of its calibration, which was interrupted; let that come to its end, and name the file that it writes.`,
    );
}
