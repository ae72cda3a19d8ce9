/**
 * Bundles for all runtimes: a bundle is a folder that detects on a device without dino8. It has a model for each size, in which the
 * phrases are constants, scripts, pre- and post-processing as data, and a check of the boxes.
 */
import { listOf, type OptionSchemas, optional, text } from '../../base/check-options.ts';
import { InputError, UsageError } from '../../base/errors.ts';
import type { WorkOptions } from '../../base/progress.ts';
import { type Content, contentLength, writeFolder } from '../../base/write-folder.ts';
import { type Image, readImage } from '../../data/image.ts';
import type { Phrases } from '../../data/phrases.ts';
import { maxPixelsSchema, type PixelLimitOptions } from '../../data/pixel-limit.ts';
import type { Size } from '../../data/size.ts';
import { type FixedPrompt, readFixedPrompts, requireChoice } from '../../models/fixed-prompt.ts';
import { type ModelPackage, type ReadOptions, readSchemas } from '../../models/package/package.ts';
import { modelFiles } from '../../onnx/write.ts';
import { readPlanSummary } from '../../quant/plan-summary.ts';
import type { ThreadOptions } from '../../runtime/threads.ts';
import { type CheckedRuntime, checkModel } from '../check-model.ts';
import { withFixedPhrases } from '../fixed-phrases.ts';
import { checkNewFolder } from '../new-folder.ts';
import { modelSchema, optionalPath, phrasesSchema, threadSchemas, workSchemas } from '../option-schemas.ts';
import { type ModelSource, openModel } from '../sources.ts';
import { checkStepFiles } from '../step-files.ts';
import { modelOfAnySize, modelOfSize, stretchedTo } from './bundle-models.ts';
import { bundleSizes, sizeSchema } from './bundle-sizes.ts';
import { bundleScripts } from './bundle-templates.ts';
import {
  agreement,
  DEVICE_LIMITS,
  drawnPicture,
  encodePicture,
  expectedBoxes,
  findBoxes,
  type GoldenBox,
  type GoldenCheck,
  type GoldenLimits,
  goldenPicture,
} from './golden.ts';
import { type BundleEngine, type BundlePrecision, bundleEngines } from './manifest.ts';

/** Options of the steps that write bundles. */
export interface BundleOptions extends WorkOptions, ReadOptions, ThreadOptions, PixelLimitOptions {
  /** The detector: quantized for the target of the bundle, or not quantized. */
  readonly model: ModelSource;
  /** The folder to write. */
  readonly output: string;
  /** The sizes of images that models are for: sides of squares, or heights and widths. */
  readonly sizes: readonly (number | Size)[];
  /** The phrases to look for, which become part of the models; a model that is made for phrases takes none. */
  readonly phrases?: Phrases | undefined;
  /** The name of the prompt to look for, of a model that is made for several. */
  readonly prompt?: string | undefined;
  /** A picture in which there is what the phrases name, for the check on the device; a drawn one by default. */
  readonly picture?: string | undefined;
}

/** The schemas of `BundleOptions`. */
export const bundleSchemas: OptionSchemas<BundleOptions> = {
  ...workSchemas,
  ...readSchemas,
  ...threadSchemas,
  maxPixels: maxPixelsSchema,
  model: modelSchema,
  output: text,
  sizes: listOf('a list of sizes', sizeSchema),
  phrases: phrasesSchema,
  prompt: optional(text),
  picture: optionalPath,
};

/** A bundle that was written. */
export interface WrittenBundle {
  /** The folder. */
  readonly output: string;
  /** The size of all files in bytes. */
  readonly bytes: number;
  /** Whether the models compute in INT8. */
  readonly precision: BundlePrecision;
  /** The models, or the engines that are built of them on the device. */
  readonly engines: readonly BundleEngine[];
  /** The number of boxes that each model was checked by in ONNX Runtime, and that the device is checked by. */
  readonly golden: readonly {
    /** The name of the engine. */
    readonly engine: string;
    /** The number of boxes that the check expects. */
    readonly boxes: number;
  }[];
}

/** A runtime that bundles are made for: the form of its models, and the limits of their check. */
export interface BundleRuntime extends CheckedRuntime {
  /** The folder of its scripts in `bundles/`. */
  readonly name: string;
  /** True if there is also one model for all sizes from the smallest to the largest. */
  readonly hasAnySize: boolean;
  /** Limits within which models of a precision must find, in ONNX Runtime, what the model finds that they are made from. */
  limits(precision: BundlePrecision): GoldenLimits;
  /** The form of the model for fixed phrases from which those of all sizes are made. */
  portable(fixed: ModelPackage): ModelPackage;
  /** The last changes to a model of one size. */
  finish(made: ModelPackage): Promise<void>;
}

/**
 * The limits within which models compute the same in ONNX Runtime. Models with float16 round otherwise; they have the limits of a
 * device.
 */
export const SAME: GoldenLimits = { overlap: 0.99, score: 1e-3, share: 1 };
/** If the best box of the golden check has a lower score, the check says little. */
const LEAST_SCORE = 0.25;

/** A model of a bundle, and what it has to find in the picture of the check. */
interface MadeModel {
  readonly engine: BundleEngine;
  readonly made: ModelPackage;
  readonly files: ReadonlyMap<string, Uint8Array[]>;
  readonly expected: readonly GoldenBox[];
}

/** The models of a bundle, before its folder is written. */
export interface MadeBundle {
  readonly precision: BundlePrecision;
  readonly prompt: FixedPrompt;
  readonly models: readonly MadeModel[];
  /** One of the models: what they share is read from it. */
  readonly first: ModelPackage;
  readonly engines: readonly BundleEngine[];
  /** The picture of the check. */
  readonly picture: Image;
}

/**
 * Makes the models of a bundle and checks them in ONNX Runtime.
 * @throws UsageError if a size or the phrases are not possible, or if the model is made for another runtime
 * @throws InputError if a model would not load in the runtime, or computes something else
 */
export async function makeBundle(options: BundleOptions, runtime: BundleRuntime): Promise<MadeBundle> {
  const { output, onNotice, picture: path } = options;
  await checkNewFolder(output, 'bundle');
  await checkStepFiles({ outputs: [], models: [options.model], data: [path] });
  const source = await openModel(options.model, options);
  const precision = precisionOf(source, runtime);
  const sizes = bundleSizes(source, options.sizes);
  const fixed = await withPhrases(source, options);
  const picture = goldenPicture(path === undefined ? await drawnPicture() : await readImage(path));
  if (precision === 'float')
    onNotice?.(
      `${source.source} is not quantized, so the bundle computes nothing in INT8; quantize it for the target ${runtime.target.name} first for a bundle that does.`,
    );
  const engines = bundleEngines(sizes, runtime.hasAnySize);
  const [prompt] = readFixedPrompts(fixed.model);
  if (!prompt) throw new Error('a bundle has phrases');
  const phrases = options.phrases ?? prompt.phrases.map((exact) => ({ exact }));
  const making = { source, fixed, phrases, runtime, precision, engines, main: sizes.main, picture };
  const models = await makeModels(making, options);
  const best = Math.max(...models.map(({ expected }) => expected[0]?.score ?? 0));
  if (best < LEAST_SCORE)
    onNotice?.(
      `The best box in the picture of the check has a score of ${best.toFixed(2)}, so the check says little; name a \`picture\` in which there is what the phrases name.`,
    );
  const [first] = models;
  if (!first) throw new Error('a bundle has an engine');
  return { precision, prompt, models, first: first.made, engines, picture };
}

const MANIFEST = 'bundle.json';

/** The text of a JSON file of a bundle. */
const json = (value: unknown) => `${JSON.stringify(value, undefined, 1)}\n`;

/**
 * Writes the folder of a bundle: its models, scripts and data.
 * @param own the files that only this runtime has, and the README
 */
export async function writeBundle(
  output: string,
  { precision, models, engines, picture }: MadeBundle,
  { name }: BundleRuntime,
  manifest: unknown,
  own: ReadonlyMap<string, Content>,
): Promise<WrittenBundle> {
  const check: GoldenCheck = {
    picture: await encodePicture(picture),
    size: [picture.height, picture.width],
    limits: DEVICE_LIMITS,
    boxes: Object.fromEntries(models.flatMap(({ engine, expected }) => (engine.size ? [[engine.name, expected]] : []))),
  };
  const files = new Map<string, Content>([
    ...models.flatMap(({ files: parts }) => [...parts]),
    ...own,
    [MANIFEST, json(manifest)],
    ['golden.json', json(check)],
    ...(await bundleScripts(name)),
  ]);
  await writeFolder(output, files, [MANIFEST]);
  const bytes = [...files.values()].reduce((sum, content) => sum + contentLength(content), 0);
  const golden = models.map(({ engine, expected }) => ({ engine: engine.name, boxes: expected.length }));
  return { output, bytes, precision, engines, golden };
}

/** The model, the runtime and the sizes from which all models of a bundle are made. */
interface Making {
  readonly source: ModelPackage;
  readonly fixed: ModelPackage;
  /** The phrases to which it is fixed, by which `source` is asked for them. */
  readonly phrases: Phrases;
  readonly runtime: BundleRuntime;
  readonly precision: BundlePrecision;
  readonly engines: readonly BundleEngine[];
  readonly main: Size;
  readonly picture: Image;
}

/** @throws InputError if a model would not load in the runtime, or does not find what the model finds that it is made from */
async function makeModels(
  { source, fixed, phrases, runtime, precision, engines, main, picture }: Making,
  { output, signal, onProgress }: BundleOptions,
): Promise<MadeModel[]> {
  const models: MadeModel[] = [];
  const portable = runtime.portable(fixed);
  const limits = runtime.limits(precision);
  const total = engines.length;
  for (const engine of engines) {
    signal?.throwIfAborted();
    onProgress?.({ label: 'Making models', done: models.length, total });
    const made = await (engine.size ? modelOfSize(portable, engine.size) : modelOfAnySize(portable));
    await runtime.finish(made);
    await checkModel(made.model, `${output}/${engine.model}`, runtime);
    const preprocessing = stretchedTo(engine.size ?? main, source);
    const expected = expectedBoxes(await findBoxes({ ...source, preprocessing }, picture, phrases));
    const found = await findBoxes({ ...made, preprocessing }, picture, undefined);
    if (agreement(expected, found, limits) < limits.share)
      throw new InputError(
        `${output} is not written, because the model ${engine.model} does not find the boxes in the picture of the check that ${source.source} finds; this is a defect of dino8.`,
      );
    models.push({ engine, made, files: modelFiles(made.model, engine.model), expected });
  }
  onProgress?.({ label: 'Making models', done: total, total });
  return models;
}

/** @throws UsageError if the model is quantized for another runtime */
function precisionOf({ model, source }: ModelPackage, { target }: BundleRuntime): BundlePrecision {
  const own = readPlanSummary(model)?.target;
  if (own === undefined) return 'float';
  if (own === target.name) return 'int8';
  const runtime = target.operators?.runtime ?? target.name;
  throw new UsageError(
    `${source} is quantized for the target ${own}, which ${runtime} does not run; quantize the float model for the target ${target.name}, or export the float model.`,
  );
}

async function withPhrases(source: ModelPackage, options: BundleOptions): Promise<ModelPackage> {
  const fixed = await withFixedPhrases(source, options, options);
  const prompts = readFixedPrompts(fixed.model);
  requireChoice(prompts);
  if (prompts.length === 0)
    throw new UsageError(
      'A bundle is made for fixed phrases, which become part of its models; name them with `phrases`, as in "forklift, person".',
    );
  return fixed;
}
