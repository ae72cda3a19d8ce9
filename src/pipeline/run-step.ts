/** What every step of the pipeline does around its work. */
import { checkOptions, type OptionSchemas } from '../base/check-options.ts';
import { withMemoryAdvice } from '../base/errors.ts';
import { withPixelLimit } from '../data/step-pixel-limit.ts';
import { withThreads } from '../runtime/threads.ts';

/** The options that `runStep` itself reads. */
interface CommonOptions {
  readonly threads?: number | undefined;
  readonly maxPixels?: number | undefined;
  readonly signal?: AbortSignal | undefined;
}

/** Options that take memory, as far as a step has them. */
const TAKE_MEMORY = ['threads', 'batch', 'maxPixels', 'images', 'calibrationImages', 'height', 'width', 'tokens'];

/**
 * Checks the options of a step and does its work, in which its numbers of threads and of pixels hold.
 *
 * @param name the name of the step, for messages
 * @param schemas what its options must be
 * @throws UsageError if an option is unknown or not possible; MemoryError if there is not enough memory; the reason of `signal`
 * if it is aborted already; and what the work throws
 */
export async function runStep<Options extends object, Result>(
  name: string,
  schemas: OptionSchemas<Options>,
  options: Options & CommonOptions,
  work: () => Promise<Result>,
): Promise<Result> {
  checkOptions(name, schemas, options);
  options.signal?.throwIfAborted();
  try {
    return await withThreads(options.threads, () => withPixelLimit(options.maxPixels, work));
  } catch (error) {
    const lower = TAKE_MEMORY.filter((option) => option in schemas).map((option) => `\`${option}\``);
    throw withMemoryAdvice(error, lower);
  }
}
