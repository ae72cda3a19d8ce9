/** The step from a detector to a static page that runs it in a browser, without a build step. */
import { type OptionSchemas, oneOf, oneOfNumbers, optional, text } from '../../base/check-options.ts';
import { InputError, UsageError } from '../../base/errors.ts';
import { megabytes } from '../../base/format.ts';
import type { WorkOptions } from '../../base/progress.ts';
import { contentLength, writeFolder } from '../../base/write-folder.ts';
import { type Image, readImage } from '../../data/image.ts';
import type { NamedPrompts } from '../../data/named-prompts.ts';
import type { Phrases } from '../../data/phrases.ts';
import { maxPixelsSchema, type PixelLimitOptions } from '../../data/pixel-limit.ts';
import type { Size } from '../../data/size.ts';
import type { Detection } from '../../detect/base-detector.ts';
import { Detector } from '../../detect/detector.ts';
import { sizesOf } from '../../models/family.ts';
import { type FixedPrompt, readFixedPrompts } from '../../models/fixed-prompt.ts';
import type { ModelPackage, ReadOptions } from '../../models/package/package.ts';
import { readSchemas } from '../../models/package/package.ts';
import { ownSize, refuseOtherSize } from '../../models/specialize.ts';
import type { BlockBits } from '../../quant/block-weights/block-weight.ts';
import { readPlanSummary } from '../../quant/plan-summary.ts';
import { ortCpu } from '../../quant/targets/ort-cpu/ort-cpu.ts';
import { qdq } from '../../quant/targets/qdq/qdq.ts';
import { RuntimeError } from '../../runtime/error.ts';
import type { ThreadOptions } from '../../runtime/threads.ts';
import { Detector as WebDetector } from '../../web/detector.ts';
import { type EngineVariant, supportedVariants } from '../../web/engine/engine-module.ts';
import {
  BACKENDS,
  type Backend,
  type FloatBits,
  MANIFEST,
  manifestText,
  parseManifest,
  type WebPackage,
} from '../../web/manifest.ts';
import { stretchedTo } from '../bundles/bundle-models.ts';
import { bundleSizes, sizeSchema } from '../bundles/bundle-sizes.ts';
import { bundleReadme } from '../bundles/bundle-templates.ts';
import {
  agreement,
  DEVICE_LIMITS,
  drawnPicture,
  encodePicture,
  expectedBoxes,
  type GoldenLimits,
  goldenPicture,
} from '../bundles/golden.ts';
import { withFixedPhrases } from '../fixed-phrases.ts';
import { checkNewFolder } from '../new-folder.ts';
import {
  modelSchema,
  optionalPath,
  phrasesSchema,
  promptsSchema,
  threadSchemas,
  workSchemas,
} from '../option-schemas.ts';
import { runStep } from '../run-step.ts';
import { type ModelSource, openModel } from '../sources.ts';
import { checkStepFiles } from '../step-files.ts';
import { ENGINE_FILES, type EngineFiles, engineFiles, HOW_TO_BUILD } from './engine-files.ts';
import { type InstalledRuntime, installedRuntime, pageFiles } from './page-files.ts';
import { type WebForm, webPackage } from './web-models.ts';

/** What can run a model in WebAssembly. */
export type WebRuntime = 'dino8' | 'onnxruntime-web';
/** All of them. */
export const WEB_RUNTIMES: readonly [WebRuntime, ...WebRuntime[]] = ['dino8', 'onnxruntime-web'];

/** Options of `exportWeb`. */
export interface ExportWebOptions extends WorkOptions, ReadOptions, ThreadOptions, PixelLimitOptions {
  /** The detector: quantized for the target `ort-cpu` or `qdq`, or not quantized. */
  readonly model: ModelSource;
  /** The folder to write. */
  readonly output: string;
  /**
   * The phrases to look for, which become part of the model, so that the text encoder is left out; by default the page takes any phrases.
   * A model that is made for phrases takes none.
   */
  readonly phrases?: Phrases | undefined;
  /** The phrases of several prompts by their names, in place of `phrases`; the page offers their names. */
  readonly prompts?: NamedPrompts | undefined;
  /** The name of the only prompt of the page, of a model that is made for several; by default the page offers them all. */
  readonly prompt?: string | undefined;
  /**
   * The size that all pictures are stretched to: the side of a square, or a height and a width. By default pictures get the size that the
   * preprocessing of the model asks for, or the one that the model is made for.
   */
  readonly size?: number | Size | undefined;
  /**
   * The execution provider that runs the model: `wasm`, the default, which every browser has, or `webgpu`, which needs a browser with
   * WebGPU and a model that is not quantized.
   */
  readonly backend?: Backend | undefined;
  /**
   * What runs the model in WebAssembly: `dino8`, its own engine, by default for models that it quantized for `ort-cpu`, or `onnxruntime-web` for all
   * others. Each runs both kinds.
   */
  readonly runtime?: WebRuntime | undefined;
  /**
   * With the backend `webgpu`, the number of bits in which weights are stored: 8, or 4 with 8 in the layers that need them. The model
   * computes in floats either way. By default weights are floats of 32 bits.
   */
  readonly weights?: BlockBits | undefined;
  /**
   * With the backend `webgpu`, the number of bits of the floats in which the half that detects computes: 32 by default, or 16 on graphics
   * processors that have them (the feature `shader-f16`), with 32 where 16 are too few.
   */
  readonly floats?: FloatBits | undefined;
  /** A picture in which there is what the phrases name, for the check in the browser; a drawn one by default. It needs `phrases`. */
  readonly picture?: string | undefined;
}

const schemas: OptionSchemas<ExportWebOptions> = {
  ...workSchemas,
  ...readSchemas,
  ...threadSchemas,
  maxPixels: maxPixelsSchema,
  model: modelSchema,
  output: text,
  phrases: phrasesSchema,
  prompts: promptsSchema,
  prompt: optional(text),
  size: optional(sizeSchema),
  backend: optional(oneOf(BACKENDS)),
  runtime: optional(oneOf(WEB_RUNTIMES)),
  weights: optional(oneOfNumbers(8, 4)),
  floats: optional(oneOfNumbers(32, 16)),
  picture: optionalPath,
};

/** The page that `exportWeb` wrote. */
export interface WebPage {
  /** The folder. */
  readonly output: string;
  /** The bytes that a browser downloads before the model: the page, dino8, and what runs the model: its engine in the larger form, or onnxruntime-web. */
  readonly pageBytes: number;
  /** The bytes of the model. */
  readonly modelBytes: number;
  /** The precision in which the model computes, in words. */
  readonly precision: string;
  /** What runs the model: dino8's engine, or onnxruntime-web and its version. */
  readonly runtime: string;
  /** The check of the runtime in Node.js, which the page can repeat in a browser. */
  readonly golden: {
    /** The number of boxes that dino8 finds. */
    readonly expected: number;
    /** The number of them that the runtime finds too. */
    readonly agreeing: number;
  };
}

/** Phrases for the drawn picture, for pages that take any phrases. */
const DRAWN = ['red circle', 'blue square', 'green triangle', 'orange ring', 'yellow rectangle'];

/**
 * The limits within which a browser agrees. WebAssembly adds products in another order than a processor's own instructions do, and
 * steps of 8-bit numbers then fall on another side now and then.
 */
const LIMITS: GoldenLimits = { overlap: 0.9, score: 0.05, share: 0.9 };

/**
 * The limits for the engine. It computes a float model as Node.js does, but for the last bits of sums. In 8 bits these bits move steps of numbers, as they
 * do between two instruction sets in Node.js: there scores of the bundled model by its recipes differ by a hundredth, and of single boxes by 0.06 and more.
 */
const LIMITS_OF_ENGINE = {
  float: { overlap: 0.98, score: 0.005, share: 0.95 },
  quantized: DEVICE_LIMITS,
} as const satisfies Record<string, GoldenLimits>;

/** What runs a model in a page that needs no onnxruntime-web. */
const ENGINE_NAME = "dino8's engine";

/** The limits within which a model with weights of so many bits must find what the float model finds: 4 bits are as coarse as a device. */
const LIMITS_OF_WEIGHTS: Readonly<Record<BlockBits, GoldenLimits>> = { 8: LIMITS, 4: DEVICE_LIMITS };

/** The files that a browser does not load. */
const NOT_LOADED = new Set([
  'README.md',
  'golden.json',
  '_headers',
  '.htaccess',
  'nginx.conf',
  'serve.json',
  'server.mjs',
]);

/**
 * Writes a static page that detects in the browser, by dino8's engine if the model is quantized, and by onnxruntime-web otherwise. The model is checked in
 * that runtime, in Node.js.
 *
 * @throws UsageError if the model is made for another runtime, or if the phrases or the size are not possible
 * @throws RuntimeError if onnxruntime-web runs the model and is not installed
 * @throws InputError if the page's runtime does not find the boxes that the model finds in Node.js
 * @example
 * await exportWeb({
 *   model: 'tiny.int8.onnx',
 *   output: 'site/',
 *   phrases: ['forklift', 'person without helmet'],
 *   size: 640,
 * });
 */
export async function exportWeb(options: ExportWebOptions): Promise<WebPage> {
  return runStep('exportWeb', schemas, options, async () => {
    const { output, picture: path, size, backend = 'wasm', weights, floats = 32, onProgress, signal } = options;
    checkForm(backend, weights, floats);
    await checkNewFolder(output, 'page');
    await checkStepFiles({ outputs: [], models: [options.model], data: [path] });
    const source = await openModel(options.model, options);
    const precision = precisionOf(source, { backend, weights, floats });
    const engine = await engineOf(source, options);
    const runtime = engine ? undefined : await installedRuntime();
    const form: WebForm = { backend, weights, floats, precision, engine };
    const fixed = await withFixedPhrases(source, options, options);
    const prompts = readFixedPrompts(fixed.model);
    const isFixed = prompts.length > 0;
    if (path !== undefined && !isFixed)
      throw new UsageError(
        'A `picture` for the check needs `phrases`, which it is looked through for; a page for any phrases is checked with a drawn picture.',
      );
    const sized = ofSize(fixed, size);
    const picture = goldenPicture(path === undefined ? await drawnPicture() : await readImage(path));

    const steps = ['Optimizing the model', 'Checking the page'];
    const progress = (done: number) => onProgress?.({ label: steps[done] ?? 'Writing the page', done, total: 3 });
    progress(0);
    const page = await webPackage(sized, form);
    signal?.throwIfAborted();
    progress(1);
    const names = prompts.map(({ name }) => name);
    const isQuantized = readPlanSummary(source.model) !== undefined;
    const limits = engine ? LIMITS_OF_ENGINE[isQuantized ? 'quantized' : 'float'] : LIMITS;
    const golden = await checkPage({ sized, page, form, runtime, picture, names, limits }, output);
    progress(2);

    const files = await pageFiles(runtime, backend);
    const loaded = [...files].filter(([name]) => !NOT_LOADED.has(name));
    // A browser takes one form of the engine.
    const engineBytes = Math.max(0, ...Object.values(engine ?? {}).map(({ length }) => length));
    const pageBytes = loaded.reduce((sum, [, content]) => sum + contentLength(content), engineBytes);
    const modelBytes = Object.values(page.manifest.files).reduce((sum, file) => sum + (file?.bytes ?? 0), 0);
    const check = {
      picture: await encodePicture(picture),
      limits,
      prompts: golden.map(({ name, boxes }) => ({
        ...(isFixed ? { name } : { phrases: DRAWN }),
        boxes: boxes.map(({ phrase, score, box }) => ({ phrase, score, box })),
      })),
    };
    files.set('golden.json', `${JSON.stringify(check, undefined, 1)}\n`);
    for (const [key, { name }] of Object.entries(page.manifest.files))
      files.set(`model/${name}`, [page.files[key as keyof WebPackage['files']] as Uint8Array]); // the same keys
    for (const [variant, bytes] of Object.entries(engine ?? {}))
      files.set(`model/${ENGINE_FILES[variant as EngineVariant]}`, [bytes]); // the same keys
    const description = manifestText(page.manifest);
    // What a page would refuse is not written.
    parseManifest(JSON.parse(description), `${output}/model/${MANIFEST}`);
    files.set(`model/${MANIFEST}`, description);
    const sum = (counts: readonly number[]) => counts.reduce((total, count) => total + count, 0);
    const counts = {
      expected: sum(golden.map(({ expected }) => expected.length)),
      agreeing: sum(golden.map(({ agreeing }) => agreeing)),
    };
    const runtimeName = runtime ? `onnxruntime-web ${runtime.version}` : ENGINE_NAME;
    const readme = {
      precision,
      // Their number, as in the READMEs of other bundles: they are text of others, which a README would render.
      phrases: phrasesInWords(prompts),
      runtime: runtimeName,
      page: megabytes(pageBytes),
      model: megabytes(modelBytes),
      agreeing: String(counts.agreeing),
      expected: String(counts.expected),
    };
    files.set('README.md', await bundleReadme('web', readme));
    signal?.throwIfAborted();
    await writeFolder(output, files, [`model/${MANIFEST}`]);
    progress(3);
    return { output, pageBytes, modelBytes, precision, runtime: runtimeName, golden: counts };
  });
}

/**
 * The engine, if it runs the model; undefined if onnxruntime-web does. That has the standard's operators alone, by which 8 bits save little
 * time. Where the engine was not built, the caller is told.
 * @throws UsageError if the engine is asked for where it cannot run; RuntimeError if it was not built
 */
async function engineOf(
  { model }: ModelPackage,
  { backend, runtime, onNotice }: ExportWebOptions,
): Promise<EngineFiles | undefined> {
  if (backend === 'webgpu' && runtime === 'dino8')
    throw new UsageError("`runtime` dino8 is for the `backend` wasm; the `backend` webgpu needs onnxruntime-web's.");
  const isMeant = readPlanSummary(model)?.target === ortCpu.name && backend !== 'webgpu';
  if (runtime === 'onnxruntime-web' || !(isMeant || runtime === 'dino8')) return undefined;
  const files = await engineFiles();
  if (!files && runtime === 'dino8') throw new RuntimeError(`${NOT_BUILT}; ${HOW_TO_BUILD}.`);
  if (!files)
    onNotice?.(`${NOT_BUILT}, so the page runs the model by onnxruntime-web, which takes longer; ${HOW_TO_BUILD}.`);
  return files;
}

const NOT_BUILT = "dino8's engine for WebAssembly was not built";

function phrasesInWords(prompts: readonly FixedPrompt[]): string {
  const [first, ...others] = prompts;
  if (!first) return 'for any phrases';
  if (others.length > 0) return `for ${prompts.length} prompts of fixed phrases, of which the page offers the names`;
  return `for ${first.phrases.length} fixed phrases, which the page shows`;
}

/** @throws UsageError if what the options ask for is no form of a backend */
function checkForm(backend: Backend, weights: BlockBits | undefined, floats: FloatBits): void {
  if (backend === 'webgpu') return;
  if (weights !== undefined)
    throw new UsageError(
      '`weights` is for the `backend` webgpu; for a smaller model in WebAssembly quantize the model, and leave `weights` out.',
    );
  if (floats !== 32)
    throw new UsageError('`floats` of 16 bits are for the `backend` webgpu; WebAssembly computes in 32 bits.');
}

/** @throws UsageError if the model is quantized for another runtime */
function precisionOf(
  { model, source }: ModelPackage,
  { backend, weights, floats }: Omit<WebForm, 'precision' | 'engine'>,
): string {
  const summary = readPlanSummary(model);
  if (summary && backend === 'webgpu')
    throw new UsageError(
      `${source} is quantized, and WebGPU computes in floats; export the float model, with \`weights\` of 8 or 4 bits for a small download, or leave out \`backend\`.`,
    );
  if (weights !== undefined) return `weights in ${weights} bits, computed in floats of ${floats} bits`;
  if (floats === 16) return 'floats of 16 bits';
  if (!summary) return 'float, because it is not quantized';
  if (summary.target === ortCpu.name || summary.target === qdq.name) return `INT8 by the recipe ${summary.recipe}`;
  throw new UsageError(
    `${source} is quantized for the target ${summary.target}, which a browser does not compute in 8 bits; quantize the float model for the target ${ortCpu.name}, or export the float model.`,
  );
}

/**
 * A model whose pictures are stretched to one size, if one is asked for or it is made for one. Its graph takes any size still, if it did:
 * what would be constant for one size, such as masks of windows, is larger than the weights of a small model, and a browser has to
 * download it.
 *
 * @throws UsageError if the model does not take the size, or is made for another one
 */
function ofSize(source: ModelPackage, asked: number | Size | undefined): ModelPackage {
  const rules = sizesOf(source);
  const own = ownSize(source.model, rules);
  const size = asked === undefined ? own : bundleSizes(source, [asked], 'size').main;
  refuseOtherSize(source.model, { batch: 1, ...size }, rules);
  return size ? { ...source, preprocessing: stretchedTo(size, source) } : source;
}

/** What is compared. */
interface Comparison {
  readonly sized: ModelPackage;
  readonly page: WebPackage;
  readonly form: WebForm;
  /** onnxruntime-web; undefined if the engine runs the model. */
  readonly runtime: InstalledRuntime | undefined;
  readonly limits: GoldenLimits;
  readonly picture: Image;
  /** The names of the fixed prompts, undefined for a single one without; no names if the page takes any phrases. */
  readonly names: readonly (string | undefined)[];
}

/** The boxes of one prompt. */
interface CheckedPrompt {
  readonly name: string | undefined;
  /** Those that dino8 finds. */
  readonly expected: readonly Detection[];
  /** The number of them that the runtime finds too. */
  readonly agreeing: number;
  /** Those by which the page checks a browser. */
  readonly boxes: readonly Detection[];
}

/**
 * Compares the boxes of the page's runtime, in WebAssembly, with those of ONNX Runtime in Node.js. Node.js has no WebGPU, which the page itself checks.
 * @throws InputError if they differ
 */
async function checkPage(
  { sized, page, form, runtime, picture, names, limits: ownLimits }: Comparison,
  output: string,
): Promise<CheckedPrompt[]> {
  const { weights, floats, engine } = form;
  const find = async (detector: Detector | WebDetector, name: string | undefined): Promise<Detection[]> => {
    const prompt =
      name === undefined
        ? await detector.encodePrompt(names.length > 0 ? undefined : DRAWN)
        : detector.namedPrompt(name);
    return detector.detect(picture, prompt, 0);
  };
  await using inNode = await Detector.create(sized);
  await using inWeb = await WebDetector.create(
    {
      ...page,
      ...(engine && { engine: engine[supportedVariants()[0] ?? 'simd'] }),
      manifest: { ...page.manifest, backend: 'wasm' },
    },
    { runtime: runtime?.library },
  );
  const checked: CheckedPrompt[] = [];
  for (const name of names.length > 0 ? names : [undefined]) {
    const expected = expectedBoxes(await find(inNode, name));
    const found = await find(inWeb, name);
    const limits = weights === undefined ? ownLimits : LIMITS_OF_WEIGHTS[weights];
    const agrees = (wanted: Detection) => agreement([wanted], found, limits) === 1;
    if (agreement(expected, found, limits) < limits.share)
      throw new InputError(
        `${output} is not written, because ${runtime ? 'onnxruntime-web' : ENGINE_NAME} does not find the boxes that ${sized.source} finds in the picture of the check; ${weights === 4 ? 'use `weights` of 8 bits' : 'this is a defect of dino8'}.`,
      );
    // What changes by the form of the model is no fault of a browser, which is compared with the same model.
    const boxes = weights === undefined && floats === 32 ? expected : expectedBoxes(found);
    checked.push({ name, expected, agreeing: expected.filter(agrees).length, boxes });
  }
  return checked;
}
