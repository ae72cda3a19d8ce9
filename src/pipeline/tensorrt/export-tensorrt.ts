/** The step from a detector to a folder that runs on a device with TensorRT, without dino8. */
import { z } from 'zod';
import { either, listOf, type OptionSchemas, text } from '../../base/check-options.ts';
import { InputError, UsageError } from '../../base/errors.ts';
import { exists, isDirectory, namesIn } from '../../base/files.ts';
import type { WorkOptions } from '../../base/progress.ts';
import { type Content, writeFolder } from '../../base/write-folder.ts';
import { type Image, readImage } from '../../data/image.ts';
import type { Phrases } from '../../data/phrases.ts';
import { maxPixelsSchema, type PixelLimitOptions } from '../../data/pixel-limit.ts';
import type { Size } from '../../data/size.ts';
import { fixPrompt } from '../../detect/fix-prompt.ts';
import { readFixedPrompt } from '../../models/fixed-prompt.ts';
import { type ModelPackage, type ReadOptions, readSchemas } from '../../models/package/package.ts';
import { copyModel } from '../../onnx/copy.ts';
import { standardVersion } from '../../onnx/opset.ts';
import { modelFiles } from '../../onnx/write.ts';
import { readPlanSummary } from '../../quant/plan-summary.ts';
import { calibrationCache, removePairs } from '../../quant/targets/tensorrt/calibration-cache.ts';
import { tensorRt } from '../../quant/targets/tensorrt/tensorrt.ts';
import { findTensorRtVersion, type TensorRtVersion } from '../../quant/targets/tensorrt/versions.ts';
import type { ThreadOptions } from '../../runtime/threads.ts';
import { checkModel } from '../check-model.ts';
import { modelSchema, optionalPath, phrasesSchema, threadSchemas, workSchemas } from '../option-schemas.ts';
import { runStep } from '../run-step.ts';
import { type ModelSource, openModel } from '../sources.ts';
import { checkStepFiles } from '../step-files.ts';
import { modelOfAnySize, modelOfSize, portableForm, stretchedTo } from './bundle-models.ts';
import { bundleSizes } from './bundle-sizes.ts';
import { bundleReadme, bundleScripts } from './bundle-templates.ts';
import {
  agreement,
  DEVICE_LIMITS,
  drawnPicture,
  encodePicture,
  expectedBoxes,
  findBoxes,
  type GoldenBox,
  type GoldenCheck,
  goldenPicture,
} from './golden.ts';
import {
  type BundleEngine,
  type BundleManifest,
  type BundlePrecision,
  bundleEngines,
  bundleManifest,
  engineList,
  MAIN_MODEL,
} from './manifest.ts';

/** Options of `exportTensorRt`. */
export interface ExportTensorRtOptions extends WorkOptions, ReadOptions, ThreadOptions, PixelLimitOptions {
  /** The detector: quantized for the target `tensorrt`, or not quantized. */
  readonly model: ModelSource;
  /** The folder to write. */
  readonly output: string;
  /** The version of TensorRT on the device: 8.5, 8.6, 10.3 or 11. */
  readonly tensorrt: string;
  /** The sizes of images that engines are for: sides of squares, or heights and widths. */
  readonly sizes: readonly (number | Size)[];
  /** The phrases to look for, which become part of the models; a model that is made for phrases takes none. */
  readonly phrases?: Phrases | undefined;
  /** A picture in which there is what the phrases name, for the check on the device; a drawn one by default. */
  readonly picture?: string | undefined;
}

const sizeSchema = either(
  'a side, or a height and a width',
  z.number(),
  z.strictObject({ height: z.number(), width: z.number() }),
);

const schemas: OptionSchemas<ExportTensorRtOptions> = {
  ...workSchemas,
  ...readSchemas,
  ...threadSchemas,
  maxPixels: maxPixelsSchema,
  model: modelSchema,
  output: text,
  tensorrt: z.string({ error: 'a version' }),
  sizes: listOf('a list of sizes', sizeSchema),
  phrases: phrasesSchema,
  picture: optionalPath,
};

/** The bundle that `exportTensorRt` wrote. */
export interface TensorRtBundle {
  /** The folder. */
  readonly output: string;
  /** The size of all files in bytes. */
  readonly bytes: number;
  /** The version of TensorRT that the bundle is for. */
  readonly tensorrt: string;
  /** Whether the models compute in INT8. */
  readonly precision: BundlePrecision;
  /** The engines that its `build.sh` builds. */
  readonly engines: readonly BundleEngine[];
  /** The number of boxes that each model was checked by in ONNX Runtime, and that the device is checked by. */
  readonly golden: readonly {
    /** The name of the engine. */
    readonly engine: string;
    /** The number of boxes that the check expects. */
    readonly boxes: number;
  }[];
}

/**
 * The limits within which the models of a bundle must agree with the model that they are made from, in ONNX Runtime. Models with
 * float16 round otherwise; they have the limits of a device.
 */
const SAME = { overlap: 0.99, score: 1e-3, share: 1 };
/** If the best box of the golden check has a lower score, the check says little. */
const LEAST_SCORE = 0.25;

/**
 * Writes a bundle for TensorRT: models for each size and one for all, scripts that build engines, measure them and detect with them,
 * and a check of the boxes. The models are checked in ONNX Runtime; nothing is run in TensorRT.
 *
 * @throws UsageError if the version, a size or the phrases are not possible, or if the model is made for another runtime
 * @throws InputError if a model would not load, or would compute something else, in this version of TensorRT
 * @example
 * await exportTensorRt({
 *   model: 'tiny.trt.onnx',
 *   output: 'jetson/',
 *   tensorrt: '8.6',
 *   sizes: [320, 640, { height: 480, width: 640 }],
 *   phrases: ['forklift', 'person without helmet'],
 * });
 */
export async function exportTensorRt(options: ExportTensorRtOptions): Promise<TensorRtBundle> {
  return runStep('exportTensorRt', schemas, options, async () => {
    const { output, onNotice, picture: path } = options;
    const version = findTensorRtVersion(options.tensorrt);
    await checkFolder(output);
    await checkStepFiles({ outputs: [], models: [options.model], data: [path] });
    const source = await openModel(options.model, options);
    const precision = precisionOf(source);
    const sizes = bundleSizes(source, options.sizes);
    const fixed = await withPhrases(source, options);
    const picture = goldenPicture(path === undefined ? await drawnPicture() : await readImage(path));
    if (precision === 'float')
      onNotice?.(
        `${source.source} is not quantized, so the bundle computes nothing in INT8; quantize it for the target tensorrt first for a bundle that does.`,
      );

    const engines = bundleEngines(sizes);
    const models = await makeModels({ source, fixed, version, engines, main: sizes.main, picture }, options);
    const best = Math.max(...models.map(({ expected }) => expected[0]?.score ?? 0));
    if (best < LEAST_SCORE)
      onNotice?.(
        `The best box in the picture of the check has a score of ${best.toFixed(2)}, so the check says little; name a \`picture\` in which there is what the phrases name.`,
      );

    const files = new Map<string, Content>(models.flatMap(({ files: own }) => [...own]));
    for (const [name, content] of await implicitFiles(models, precision, version, { output, picture }))
      files.set(name, content);
    const prompt = readFixedPrompt(fixed.model);
    const [first] = models;
    if (!first || !prompt) throw new Error('a bundle has an engine and phrases');
    const manifest = bundleManifest(first.made, prompt, { version, precision, engines });
    const check: GoldenCheck = {
      picture: await encodePicture(picture),
      size: [picture.height, picture.width],
      limits: DEVICE_LIMITS,
      boxes: Object.fromEntries(
        models.flatMap(({ engine, expected }) => (engine.size ? [[engine.name, expected]] : [])),
      ),
    };
    files.set(MANIFEST, json(manifest));
    files.set('golden.json', json(check));
    files.set('engines.txt', engineList(manifest, version.stronglyTyped));
    for (const [name, content] of await bundleScripts()) files.set(name, content);
    const opset = standardVersion(first.made.model);
    files.set('README.md', await bundleReadme(readmeFacts(manifest, version, opset)));
    await writeFolder(output, files, [MANIFEST]);
    const bytes = [...files.values()].reduce((sum, content) => sum + lengthOf(content), 0);
    const golden = models.map(({ engine, expected }) => ({ engine: engine.name, boxes: expected.length }));
    return { output, bytes, tensorrt: version.name, precision, engines, golden };
  });
}

const MANIFEST = 'bundle.json';

const json = (value: unknown) => `${JSON.stringify(value, undefined, 1)}\n`;

/** A model of a bundle, and what it has to find in the picture of the check. */
interface MadeModel {
  readonly engine: BundleEngine;
  readonly made: ModelPackage;
  readonly files: ReadonlyMap<string, Uint8Array[]>;
  readonly expected: readonly GoldenBox[];
}

/** What all models of a bundle are made from. */
interface Making {
  readonly source: ModelPackage;
  readonly fixed: ModelPackage;
  readonly version: TensorRtVersion;
  readonly engines: readonly BundleEngine[];
  readonly main: Size;
  readonly picture: Image;
}

/** @throws InputError if a model would not load in this version, or does not find what the model finds that it is made from */
async function makeModels(
  { source, fixed, version, engines, main, picture }: Making,
  { output, phrases, signal, onProgress }: ExportTensorRtOptions,
): Promise<MadeModel[]> {
  const models: MadeModel[] = [];
  const portable = portableForm(fixed, version);
  const total = engines.length;
  for (const engine of engines) {
    signal?.throwIfAborted();
    onProgress?.({ label: 'Making models', done: models.length, total });
    const made = await (engine.size ? modelOfSize(portable, engine.size, version) : modelOfAnySize(portable, version));
    await checkModel(made.model, `${output}/${engine.model}`, { target: tensorRt, version: version.name });
    const preprocessing = stretchedTo(engine.size ?? main, source);
    const expected = expectedBoxes(await findBoxes({ ...source, preprocessing }, picture, phrases));
    const found = await findBoxes({ ...made, preprocessing }, picture, undefined);
    const limits = version.stronglyTyped ? DEVICE_LIMITS : SAME;
    if (agreement(expected, found, limits) < limits.share)
      throw new InputError(
        `${output} is not written, because the model ${engine.model} does not find the boxes in the picture of the check that ${source.source} finds; this is a defect of dino8.`,
      );
    models.push({ engine, made, files: modelFiles(made.model, engine.model), expected });
  }
  onProgress?.({ label: 'Making models', done: total, total });
  return models;
}

/** The main model for implicit quantization and its calibration cache, for versions that have it. */
async function implicitFiles(
  models: readonly MadeModel[],
  precision: BundlePrecision,
  { name: version, calibrationCache: number }: TensorRtVersion,
  { output, picture }: { readonly output: string; readonly picture: Image },
): Promise<Map<string, Content>> {
  const main = models.find(({ engine }) => engine.model === MAIN_MODEL);
  if (precision !== 'int8' || number === undefined || !main) return new Map();
  const model = copyModel(main.made.model);
  const scales = removePairs(model, output);
  await checkModel(model, `${output}/${IMPLICIT_MODEL}`, { target: tensorRt, version });
  const found = await findBoxes({ ...main.made, model }, picture, undefined);
  if (agreement(main.expected, found, DEVICE_LIMITS) < DEVICE_LIMITS.share)
    throw new InputError(
      `${output} is not written, because its model without Q/DQ pairs does not find the boxes in the picture of the check; this is a defect of dino8.`,
    );
  return new Map<string, Content>([
    ...modelFiles(model, IMPLICIT_MODEL),
    ['calibration.cache', calibrationCache(scales, number)],
  ]);
}

/** The model for which `calibration.cache` has the scales. */
const IMPLICIT_MODEL = 'model.implicit.onnx';

/** Engines of a former bundle would be taken for those of this one. @throws UsageError if the folder is not a new or empty one */
async function checkFolder(output: string): Promise<void> {
  if (!(await exists(output))) return;
  if (!(await isDirectory(output)))
    throw new UsageError(`${output} is a file where a folder is needed; name another folder for the bundle.`);
  if ((await namesIn(output)).length > 0)
    throw new UsageError(
      `${output} already holds files, which would be taken for parts of the bundle; name a new folder, or empty it.`,
    );
}

/** @throws UsageError if the model is quantized for another runtime */
function precisionOf({ model, source }: ModelPackage): BundlePrecision {
  const target = readPlanSummary(model)?.target;
  if (target === undefined) return 'float';
  if (target === tensorRt.name) return 'int8';
  throw new UsageError(
    `${source} is quantized for the target ${target}, which TensorRT does not run; quantize the float model for the target ${tensorRt.name}, or export the float model.`,
  );
}

async function withPhrases(source: ModelPackage, { phrases, onNotice }: ExportTensorRtOptions): Promise<ModelPackage> {
  if (phrases === undefined && readFixedPrompt(source.model)) return source;
  if (phrases === undefined)
    throw new UsageError(
      'A bundle is made for fixed phrases, which become part of its models; name them with `phrases`, as in "forklift, person".',
    );
  const { model, warnings } = await fixPrompt(source, phrases);
  for (const sentence of warnings) onNotice?.(sentence);
  return model;
}

function readmeFacts(
  { precision, engines, postprocessing }: BundleManifest,
  version: TensorRtVersion,
  opset: number,
): Record<string, string> {
  const fixed = engines.filter(({ size }) => size);
  const rest = version.stronglyTyped
    ? 'float16, with float32 where 16 bits are too few (sampling positions, box and class heads, softmax, fusion scores, selection of queries),'
    : 'float32';
  return {
    tensorrt: version.name,
    range: version.range,
    opset: String(opset),
    phrases: String(postprocessing.phrases.length),
    precision:
      precision === 'int8'
        ? `INT8 where Q/DQ pairs are, ${rest} elsewhere`
        : `${rest}, because the model that it was made from is not quantized`,
    typing: version.stronglyTyped
      ? 'The types in the files decide the precision of every layer (strong typing).'
      : 'TensorRT chooses among the precisions that `build.sh` allows (weak typing).',
    sizes: fixed.map(({ name, model }) => `| ${name} | \`${model}\` | \`engines/${name}.engine\` |`).join('\n'),
    any:
      fixed.length < engines.length
        ? '`bash build.sh any` builds one engine for all sizes from the smallest to the largest; it is slower than those for one size.\n\n'
        : '',
    flags: flagsByHand(version, precision),
    implicit: precision === 'int8' && version.calibrationCache !== undefined ? IMPLICIT : '',
  };
}

/** The options of trtexec for the main model, as `build.sh` gives them. */
function flagsByHand({ name, stronglyTyped }: TensorRtVersion, precision: BundlePrecision): string {
  if (stronglyTyped) return `--memPoolSize=workspace:1024${name === '11' ? '' : ' --stronglyTyped'}`;
  return `--workspace=1024${precision === 'int8' ? ' --int8' : ''}`;
}

/** What the README says of implicit quantization, for bundles that have it. */
const IMPLICIT = `
The files \`model.implicit.onnx\` and \`calibration.cache\` are for implicit quantization, in which TensorRT chooses by itself what it
computes in INT8; it is deprecated since TensorRT 10.1:

\`\`\`sh
/usr/src/tensorrt/bin/trtexec --onnx=model.implicit.onnx --saveEngine=implicit.engine --int8 --calib=calibration.cache --workspace=1024
\`\`\`
`;

function lengthOf(content: Content): number {
  if (typeof content === 'string') return Buffer.byteLength(content);
  let length = 0;
  for (const piece of content) length += piece.length;
  return length;
}
