/** The step that lists the size, work, time and precision of each module of a model. */
import { basename } from 'node:path';
import { type OptionSchemas, optional, wholeNumber } from '../base/check-options.ts';
import type { Defaults } from '../base/defaults.ts';
import { UsageError } from '../base/errors.ts';
import { writeAtomic } from '../base/files.ts';
import type { WorkOptions } from '../base/progress.ts';
import { maxPixelsSchema, type PixelLimitOptions } from '../data/pixel-limit.ts';
import { type Inspection, inspectModel } from '../evaluate/inspect.ts';
import { detectionOf, type LoadedModel } from '../models/family.ts';
import { type FixedPrompt, readFixedPrompts } from '../models/fixed-prompt.ts';
import { isPackage, type ReadOptions, readSchemas } from '../models/package/package.ts';
import type { Feeds } from '../runtime/session.ts';
import type { ThreadOptions } from '../runtime/threads.ts';
import { BLANK_TOKENS, type BlankInputOptions, blankInputs } from './blank-inputs.ts';
import {
  blankInputSchemas,
  modelSchema,
  optionalPath,
  overwriteSchemas,
  picturesSchema,
  threadSchemas,
  workSchemas,
} from './option-schemas.ts';
import { pictureFeeds } from './picture-feeds.ts';
import { runStep } from './run-step.ts';
import { openLabelledInputs, type PictureOptions, refuseUnusedPictures } from './samples.ts';
import { type AnyModelSource, openAnyModel } from './sources.ts';
import { checkStepFiles, type OverwriteOptions } from './step-files.ts';

/** Options of `inspect`. */
export interface InspectStepOptions
  extends WorkOptions,
    ReadOptions,
    BlankInputOptions,
    ThreadOptions,
    PixelLimitOptions,
    OverwriteOptions {
  /** The model. */
  readonly model: AnyModelSource;
  /** The number of segments of a module path by which modules are told apart, from 1 to 64; 2 by default. */
  readonly depth?: number | undefined;
  /** An image, or for other models a file of arrays, to run the model on, for the time of each module. */
  readonly profile?: string | undefined;
  /** How a picture becomes the input, for a model that is no detector of dino8. */
  readonly pictures?: PictureOptions | undefined;
  /** The HTML file to write with tables and charts. */
  readonly report?: string | undefined;
}

/** The defaults of `InspectStepOptions`. */
export const INSPECT_DEFAULTS: Defaults<InspectStepOptions, 'depth'> = { depth: 2 };

/** The result of `inspect`. */
export interface InspectResult extends Inspection {
  /** The shape of each input for which work and time are counted. */
  readonly inputs: Readonly<Record<string, readonly number[]>>;
  /** The prompts of a model for fixed phrases, with their names; none if it takes any phrases, or is no detector. */
  readonly prompts: readonly FixedPrompt[];
}

const MAX_DEPTH = 64;

const schemas: OptionSchemas<InspectStepOptions> = {
  ...workSchemas,
  ...readSchemas,
  ...blankInputSchemas,
  ...threadSchemas,
  ...overwriteSchemas,
  maxPixels: maxPixelsSchema,
  model: modelSchema,
  depth: optional(wholeNumber(1, MAX_DEPTH)),
  profile: optionalPath,
  pictures: picturesSchema,
  report: optionalPath,
};

/**
 * Counts parameters and multiply-adds of each module, and measures its time if there is an image to run on.
 *
 * @throws UsageError if `depth` is more than 64; RuntimeError if the model is to be run and does not
 * @example
 * const { total } = await inspect({ model: 'tiny.int8.onnx', profile: 'street.jpg' });
 */
export async function inspect(options: InspectStepOptions): Promise<InspectResult> {
  return runStep('inspect', schemas, options, async () => {
    const { depth = INSPECT_DEFAULTS.depth, profile, report, signal } = options;
    await checkStepFiles({
      outputs: [report],
      models: [options.model],
      tokenizer: options.tokenizer,
      data: [profile],
      overwrite: options.overwrite,
    });
    const source = await openAnyModel(options.model, options);
    refuseUnusedPictures(source, profile, options.pictures);
    if (options.shapes && profile !== undefined)
      throw new UsageError('`shapes` has no effect on the input of `profile`; leave one of them out.');
    signal?.throwIfAborted();
    const feeds = profile === undefined ? blankInputs(source, options) : await feedsOf(source, profile, options);
    const inspection = await inspectModel(source, { feeds, depth, profile: profile !== undefined });
    if (report !== undefined) {
      const { renderInspection } = await import('../report/inspection-page.ts');
      await writeAtomic(report, renderInspection(basename(source.source), inspection));
    }
    const inputs = Object.fromEntries(Object.entries(feeds).map(([name, { shape }]) => [name, shape]));
    return { ...inspection, inputs, prompts: readFixedPrompts(source.model) };
  });
}

async function feedsOf(source: LoadedModel, path: string, options: InspectStepOptions): Promise<Feeds> {
  if (!isPackage(source)) {
    const { samples } = await openLabelledInputs(source, path, options);
    for await (const { feeds } of samples.samples()) return feeds;
    throw new UsageError(`${path} holds no inputs.`);
  }
  return pictureFeeds(source, path, detectionOf(source).blankPrompt(options.tokens ?? BLANK_TOKENS));
}
