/** Makes a model for one prompt of a model for several. */
import { detectionOf } from '../models/family.ts';
import { findFixedPrompt, readFixedPrompts, storeFixedPrompts } from '../models/fixed-prompt.ts';
import type { ModelPackage } from '../models/package/package.ts';

/**
 * Returns a copy of a model for several prompts that has one of them only, and takes images alone.
 *
 * @throws UsageError that lists the names of the prompts if there is none of this name
 * @example
 * await writePackage(await choosePrompt(await readPackage('yard.onnx'), 'safety'), 'safety.onnx');
 */
export async function choosePrompt(source: ModelPackage, name: string): Promise<ModelPackage> {
  const prompts = readFixedPrompts(source.model);
  const index = findFixedPrompt(prompts, name);
  if (prompts.length === 1) return source;
  const model = await detectionOf(source).choosePrompt(source.model, index);
  storeFixedPrompts(
    model,
    prompts.filter((_, at) => at === index),
  );
  return { ...source, model };
}
