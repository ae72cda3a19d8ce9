/**
 * Bundles for all runtimes: a bundle is a folder that detects on a device without dino8. It has a model for each size, scripts, pre-
 * and post-processing as data, and a check of the boxes. The phrases are constants of the models, or there is a text encoder too.
 */
import { listOf, type OptionSchemas, optional, text, wholeNumber } from '../../base/check-options.ts';
import { InputError, UsageError } from '../../base/errors.ts';
import type { WorkOptions } from '../../base/progress.ts';
import { type Content, contentLength, writeFolder } from '../../base/write-folder.ts';
import { type Image, readImage } from '../../data/image.ts';
import type { Phrases } from '../../data/phrases.ts';
import { maxPixelsSchema, type PixelLimitOptions } from '../../data/pixel-limit.ts';
import type { Size } from '../../data/size.ts';
import { choosePrompt } from '../../detect/choose-prompt.ts';
import { sizesOf } from '../../models/family.ts';
import { type FixedPrompt, readFixedPrompts, requireChoice } from '../../models/fixed-prompt.ts';
import { type ModelPackage, type ReadOptions, readSchemas } from '../../models/package/package.ts';
import { refuseOtherSize } from '../../models/specialize.ts';
import { modelFiles } from '../../onnx/write.ts';
import { readPlanSummary } from '../../quant/plan-summary.ts';
import type { ThreadOptions } from '../../runtime/threads.ts';
import { type CheckedRuntime, checkModel } from '../check-model.ts';
import { checkOneWay, withFixedPhrases } from '../fixed-phrases.ts';
import { checkNewFolder } from '../new-folder.ts';
import { modelSchema, optionalPath, phrasesSchema, threadSchemas, workSchemas } from '../option-schemas.ts';
import { type ModelSource, openModel } from '../sources.ts';
import { checkStepFiles } from '../step-files.ts';
import { modelOfAnySize, modelOfSize, stretchedTo } from './bundle-models.ts';
import { bundleSizes, sizeSchema } from './bundle-sizes.ts';
import { bundleScripts } from './bundle-templates.ts';
import { type BundleText, bundleText, ownPrompt } from './bundle-text.ts';
import {
  agreement,
  DEVICE_LIMITS,
  drawnPicture,
  encodePicture,
  expectedBoxes,
  findBoxes,
  findBoxesByHalves,
  type GoldenBox,
  type GoldenCheck,
  type GoldenLimits,
  goldenPicture,
} from './golden.ts';
import { type BundleEngine, type BundlePrecision, bundleEngines, TEXT_ENGINE } from './manifest.ts';

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
  /** The name of the only prompt of the bundle, of a model that is made for several. */
  readonly prompt?: string | undefined;
  /**
   * Keeps the text encoder, so that other phrases can be looked for on the device: the length of prompts in tokens. By default the
   * bundle is for `phrases` alone.
   */
  readonly tokens?: number | undefined;
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
  tokens: optional(wholeNumber(1, 65_536)),
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
  /** The names of scripts that run models for fixed phrases only. */
  readonly fixedOnly?: readonly string[];
  /** The form of the model from which those of all sizes are made. */
  portable(source: ModelPackage): ModelPackage;
  /** The last changes to a model of one size, or to the text encoder. */
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
  /** The phrases of the bundle. */
  readonly prompt: FixedPrompt;
  /** Undefined if the phrases are part of the models. */
  readonly text?: BundleText | undefined;
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
  const { output, onNotice, picture: path, tokens, prompt: name } = options;
  checkOneWay(options);
  if (tokens !== undefined && name !== undefined)
    throw new UsageError(
      '`prompt` chooses from the prompts that a model is made for, and `tokens` is for a model that takes any phrases; leave out one of them.',
    );
  await checkNewFolder(output, 'bundle');
  await checkStepFiles({ outputs: [], models: [options.model], data: [path] });
  const opened = await openModel(options.model, options);
  const precision = precisionOf(opened, runtime);
  const sizes = bundleSizes(opened, options.sizes);
  for (const size of sizes.all)
    refuseOtherSize(opened.model, { batch: 1, ...size, textLength: tokens }, sizesOf(opened));
  const source = name === undefined ? opened : await choosePrompt(opened, name);
  const fixed = tokens === undefined ? await withPhrases(source, options) : source;
  const [prompt] = tokens === undefined ? readFixedPrompts(fixed.model) : [ownPrompt(source, tokens, options)];
  if (!prompt) throw new Error('a bundle has phrases');
  const picture = goldenPicture(path === undefined ? await drawnPicture() : await readImage(path));
  if (precision === 'float')
    onNotice?.(
      `${source.source} is not quantized, so the bundle computes nothing in INT8; quantize it for the target ${runtime.target.name} first for a bundle that does.`,
    );
  const portable = runtime.portable(fixed);
  const text = tokens === undefined ? undefined : await bundleText(portable, { ...options, tokens }, runtime);
  const engines = bundleEngines(sizes, runtime.hasAnySize);
  const making = { source, portable, text, runtime, precision, engines, main: sizes.main, picture };
  const models = await makeModels(making, options);
  const best = Math.max(...models.map(({ expected }) => expected[0]?.score ?? 0));
  if (best < LEAST_SCORE)
    onNotice?.(
      `The best box in the picture of the check has a score of ${best.toFixed(2)}, so the check says little; name a \`picture\` in which there is what the phrases name.`,
    );
  const [first] = models;
  if (!first) throw new Error('a bundle has an engine');
  const all = text ? [...engines, TEXT_ENGINE] : engines;
  return { precision, prompt, text, models, first: first.made, engines: all, picture };
}

/** What a model of a bundle finds in the picture of the check. */
export const boxesOf = (made: ModelPackage, { picture, text }: Pick<MadeBundle, 'picture' | 'text'>) =>
  text ? findBoxesByHalves(made, picture, text) : findBoxes(made, picture, undefined);

const MANIFEST = 'bundle.json';

/** The text of a JSON file of a bundle. */
const json = (value: unknown) => `${JSON.stringify(value, undefined, 1)}\n`;

/**
 * Writes the folder of a bundle: its models, scripts and data.
 * @param own the files that only this runtime has, and the README
 */
export async function writeBundle(
  output: string,
  { precision, text, models, engines, picture }: MadeBundle,
  { name, fixedOnly = [] }: BundleRuntime,
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
    ...(text ? [...modelFiles(text.model, TEXT_ENGINE.model)] : []),
    ...own,
    [MANIFEST, json(manifest)],
    ['golden.json', json(check)],
    ...(text ? [['vocabulary.json', `${JSON.stringify(text.rules)}\n`] as const] : []),
    ...(await bundleScripts(name, text !== undefined)),
  ]);
  if (text) for (const name of fixedOnly) files.delete(name);
  await writeFolder(output, files, [MANIFEST]);
  const bytes = [...files.values()].reduce((sum, content) => sum + contentLength(content), 0);
  const golden = models.map(({ engine, expected }) => ({ engine: engine.name, boxes: expected.length }));
  return { output, bytes, precision, engines, golden };
}

/** The model, the runtime and the sizes from which all models of a bundle are made. */
interface Making {
  readonly source: ModelPackage;
  readonly portable: ModelPackage;
  readonly text: BundleText | undefined;
  readonly runtime: BundleRuntime;
  readonly precision: BundlePrecision;
  readonly engines: readonly BundleEngine[];
  readonly main: Size;
  readonly picture: Image;
}

/** @throws InputError if a model would not load in the runtime, or does not find what the model finds that it is made from */
async function makeModels(
  { source, portable, text, runtime, precision, engines, main, picture }: Making,
  { output, phrases, signal, onProgress }: BundleOptions,
): Promise<MadeModel[]> {
  const models: MadeModel[] = [];
  const limits = runtime.limits(precision);
  const total = engines.length;
  for (const engine of engines) {
    signal?.throwIfAborted();
    onProgress?.({ label: 'Making models', done: models.length, total });
    const made = await (engine.size
      ? modelOfSize(portable, engine.size, text?.tokens)
      : modelOfAnySize(portable, text?.tokens));
    await runtime.finish(made);
    await checkModel(made.model, `${output}/${engine.model}`, runtime);
    const preprocessing = stretchedTo(engine.size ?? main, source);
    const expected = expectedBoxes(await findBoxes({ ...source, preprocessing }, picture, phrases));
    const found = await boxesOf({ ...made, preprocessing }, { picture, text });
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
  const fixed = await withFixedPhrases(source, { phrases: options.phrases }, options);
  const prompts = readFixedPrompts(fixed.model);
  requireChoice(prompts);
  if (prompts.length === 0)
    throw new UsageError(
      'A bundle is made for fixed phrases, which become part of its models; name them with `phrases`, as in "forklift, person". With `tokens` too it takes others on the device.',
    );
  return fixed;
}
