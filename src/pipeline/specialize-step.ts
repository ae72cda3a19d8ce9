/** The step from a model for any size to a model with static shapes. */
import { type OptionSchemas, optional, text, truth, wholeNumber } from '../base/check-options.ts';
import { UsageError } from '../base/errors.ts';
import { sizeOf } from '../base/files.ts';
import type { WorkOptions } from '../base/progress.ts';
import type { NamedPrompts } from '../data/named-prompts.ts';
import type { Phrases } from '../data/phrases.ts';
import type { Size } from '../data/size.ts';
import { sizesOf } from '../models/family.ts';
import { type ModelPackage, type ReadOptions, readSchemas, writePackage } from '../models/package/package.ts';
import { LARGEST_SIDE, MOST_IMAGES, specialize } from '../models/specialize.ts';
import type { ThreadOptions } from '../runtime/threads.ts';
import { checkModel } from './check-model.ts';
import type { WrittenModel } from './convert-step.ts';
import { checkOneWay, withFixedPhrases } from './fixed-phrases.ts';
import {
  modelSchema,
  overwriteSchemas,
  phrasesSchema,
  promptsSchema,
  threadSchemas,
  workSchemas,
} from './option-schemas.ts';
import { runStep } from './run-step.ts';
import { type ModelSource, openModel } from './sources.ts';
import { checkStepFiles, type OverwriteOptions } from './step-files.ts';

/** Options of `specializeModel`. */
export interface SpecializeOptions extends WorkOptions, ReadOptions, ThreadOptions, OverwriteOptions {
  /** The model, quantized or not. */
  readonly model: ModelSource;
  /** The ONNX file or folder to write. */
  readonly output: string;
  /**
   * The only phrases to look for, which become part of the model in place of its text encoder; by default it takes any. With
   * phrases, the size may be left out.
   */
  readonly phrases?: Phrases | undefined;
  /**
   * The phrases of several prompts by their names, in place of `phrases`. The model has an input that chooses one of them, and `detect`
   * chooses it by its name.
   */
  readonly prompts?: NamedPrompts | undefined;
  /** The name of the only prompt to keep, of a model that has several. */
  readonly prompt?: string | undefined;
  /** Height of the prepared image in pixels; the width must be given too. */
  readonly height?: number | undefined;
  /** Width of the prepared image in pixels. */
  readonly width?: number | undefined;
  /** Tokens of the prompt; the model keeps taking prompts of any length by default. */
  readonly tokens?: number | undefined;
  /** Images of a run; 1 by default. */
  readonly batch?: number | undefined;
  /** Keeps the mask of padded pixels as an input; by default all pixels count as image. */
  readonly padding?: boolean | undefined;
}

const side = optional(wholeNumber(1, LARGEST_SIDE));

const schemas: OptionSchemas<SpecializeOptions> = {
  ...workSchemas,
  ...readSchemas,
  ...threadSchemas,
  ...overwriteSchemas,
  model: modelSchema,
  output: text,
  phrases: phrasesSchema,
  prompts: promptsSchema,
  prompt: optional(text),
  height: side,
  width: side,
  tokens: optional(wholeNumber(1, 65_536)),
  batch: optional(wholeNumber(1, MOST_IMAGES)),
  padding: optional(truth),
};

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
 * Fixes the shapes of a model, its phrases, or both: everything that depends on them alone becomes a constant. The model computes
 * the same boxes. With fixed phrases it has no text encoder, which is most of a published model's weights.
 *
 * @throws UsageError if the model does not take the size, if the phrases do not fit into one prompt, or if a name is not possible
 * @example
 * await specializeModel({ model: 'tiny.int8.onnx', output: 'tiny.800x1333.onnx', height: 800, width: 1333 });
 * await specializeModel({ model: 'tiny.int8.onnx', output: 'forklifts.onnx', phrases: ['forklift', 'person'] });
 * const prompts = { safety: ['helmet', 'person without helmet'], vehicles: ['forklift', 'truck'] };
 * await specializeModel({ model: 'tiny.int8.onnx', output: 'yard.onnx', prompts });
 */
export async function specializeModel(options: SpecializeOptions): Promise<SpecializedModel> {
  return runStep('specializeModel', schemas, options, async () => {
    const { output, height, width, tokens, batch = 1, padding = false, signal } = options;
    checkAsked(options);
    await checkStepFiles({
      outputs: [],
      modelOutput: output,
      models: [options.model],
      tokenizer: options.tokenizer,
      overwrite: options.overwrite,
    });
    const opened = await openModel(options.model, options);
    signal?.throwIfAborted();
    const source = await withFixedPhrases(opened, options, options);
    if (!padding && height !== undefined && width !== undefined) checkNoPadding(source, { height, width });
    const size = {
      batch,
      height,
      width,
      textLength: tokens,
      ...(padding && { padding }),
    };
    const model = await specialize(source.model, size, sizesOf(source));
    signal?.throwIfAborted();
    await checkModel(model, output);
    signal?.throwIfAborted();
    await writePackage({ ...source, model }, output);
    const nodes = { before: opened.model.graph.node.length, after: model.graph.node.length };
    return { output, bytes: await sizeOf(output), nodes };
  });
}

/** @throws UsageError if the options do not go together */
function checkAsked(options: SpecializeOptions): void {
  const { phrases, prompts, prompt, height, width, tokens, batch = 1 } = options;
  checkOneWay(options);
  const given = Object.entries({ phrases, prompts, prompt }).find(([, value]) => value !== undefined)?.[0];
  if (height === undefined && width === undefined && given === undefined)
    throw new UsageError('There is nothing to fix; name the `height` and `width` of images, `phrases`, or both.');
  if (given === undefined) return;
  if (tokens !== undefined)
    throw new UsageError(`The number of \`tokens\` follows from the \`${given}\`; leave out one of them.`);
  if (batch !== 1) throw new UsageError('A model for fixed `phrases` takes one image at a time; leave out `batch`.');
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
