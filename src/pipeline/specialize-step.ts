/** The step from a model for any size to a model with static shapes. */
import { UsageError } from '../base/errors.ts';
import { sizeOf } from '../base/files.ts';
import type { WorkOptions } from '../base/progress.ts';
import type { Size } from '../data/size.ts';
import { sizesOf } from '../models/family.ts';
import { type ModelPackage, type ReadOptions, writePackage } from '../models/package/package.ts';
import { specialize } from '../models/specialize.ts';
import { type ThreadOptions, withThreads } from '../runtime/threads.ts';
import { checkModel } from './check-model.ts';
import type { WrittenModel } from './convert-step.ts';
import { type ModelSource, openModel } from './sources.ts';
import { checkStepFiles } from './step-files.ts';

/** Options of `specializeModel`. */
export interface SpecializeOptions extends WorkOptions, ReadOptions, ThreadOptions {
  /** The model, quantized or not. */
  readonly model: ModelSource;
  /** The ONNX file or folder to write. */
  readonly output: string;
  /** Height of the prepared image in pixels. */
  readonly height: number;
  /** Width of the prepared image in pixels. */
  readonly width: number;
  /** Tokens of the prompt; the model keeps taking prompts of any length by default. */
  readonly tokens?: number | undefined;
  /** Images of a run; 1 by default. */
  readonly batch?: number | undefined;
  /** Keeps the mask of padded pixels as an input; by default all pixels count as image. */
  readonly padding?: boolean | undefined;
}

/** The model that `specializeModel` wrote. */
export interface SpecializedModel extends WrittenModel {
  /** The number of nodes before and after. */
  readonly nodes: {
    /** The number of nodes of the model as it was. */
    readonly before: number;
    /** The number of nodes that are left. */
    readonly after: number;
  };
}

/**
 * Fixes the shapes of a model: everything that depends on the size alone becomes a constant.
 *
 * @throws UsageError if the model does not take the size
 * @example
 * await specializeModel({ model: 'tiny.int8.onnx', output: 'tiny.800x1333.onnx', height: 800, width: 1333 });
 */
export async function specializeModel(options: SpecializeOptions): Promise<SpecializedModel> {
  return withThreads(options.threads, async () => {
    const { output, height, width, tokens, batch = 1, padding = false, signal } = options;
    await checkStepFiles({ outputs: [], modelOutput: output, models: [options.model] });
    const source = await openModel(options.model, options);
    signal?.throwIfAborted();
    if (!padding) checkNoPadding(source, { height, width });
    const size = {
      batch,
      height,
      width,
      textLength: tokens,
      ...(padding && { padding }),
    };
    const model = await specialize(source.model, size, sizesOf(source));
    await checkModel(model, output);
    await writePackage({ ...source, model }, output);
    const nodes = { before: source.model.graph.node.length, after: model.graph.node.length };
    return { output, bytes: await sizeOf(output), nodes };
  });
}

/** The preprocessing of a model can pad every image, which the mask must then say. */
function checkNoPadding({ source, preprocessing }: ModelPackage, { height, width }: Size): void {
  const { pad_size, size: rule } = preprocessing;
  const isFilled = rule && 'height' in rule && rule.height === height && rule.width === width;
  if (pad_size && !isFilled)
    throw new UsageError(
      `The preprocessing of ${source} pads images to ${pad_size.height}x${pad_size.width}; set \`padding\` to keep the mask of padded pixels.`,
    );
}
