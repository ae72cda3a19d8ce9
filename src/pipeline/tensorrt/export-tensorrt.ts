/** The step from a detector to a folder that runs on a device with TensorRT, without dino8. */
import { z } from 'zod';
import type { OptionSchemas } from '../../base/check-options.ts';
import { InputError } from '../../base/errors.ts';
import type { Content } from '../../base/write-folder.ts';
import { copyModel } from '../../onnx/copy.ts';
import { standardVersion } from '../../onnx/opset.ts';
import { modelFiles } from '../../onnx/write.ts';
import { storeHalf } from '../../quant/half/store-half.ts';
import { useAttentionPlugin, withPluginBodies } from '../../quant/targets/tensorrt/attention-plugin.ts';
import { calibrationCache, removePairs } from '../../quant/targets/tensorrt/calibration-cache.ts';
import { storeFloatWeights } from '../../quant/targets/tensorrt/float-weights.ts';
import { tensorRt } from '../../quant/targets/tensorrt/tensorrt.ts';
import { findTensorRtVersion, type TensorRtVersion } from '../../quant/targets/tensorrt/versions.ts';
import {
  type BundleOptions,
  type BundleRuntime,
  boxesOf,
  bundleSchemas,
  type MadeBundle,
  makeBundle,
  SAME,
  type WrittenBundle,
  writeBundle,
} from '../bundles/bundle.ts';
import { portableForm } from '../bundles/bundle-models.ts';
import { bundleReadme, textFacts } from '../bundles/bundle-templates.ts';
import { agreement, DEVICE_LIMITS } from '../bundles/golden.ts';
import { type BundlePrecision, bundleManifest, MAIN_MODEL } from '../bundles/manifest.ts';
import { checkByTable, checkModel } from '../check-model.ts';
import { runStep } from '../run-step.ts';
import { detectSettings } from './detect-settings.ts';
import { engineList, type TensorRtManifest } from './engine-list.ts';

/** Options of `exportTensorRt`. */
export interface ExportTensorRtOptions extends BundleOptions {
  /** The version of TensorRT on the device: 8.5, 8.6, 10.3 or 11. */
  readonly tensorrt: string;
}

const schemas: OptionSchemas<ExportTensorRtOptions> = {
  ...bundleSchemas,
  tensorrt: z.string({ error: 'a version' }),
};

/** The bundle that `exportTensorRt` wrote. */
export interface TensorRtBundle extends WrittenBundle {
  /** The version of TensorRT that the bundle is for. */
  readonly tensorrt: string;
}

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
    const version = findTensorRtVersion(options.tensorrt);
    const runtime = runtimeOf(version);
    const made = await withPlugin(await makeBundle(options, runtime), options.output, runtime);
    const manifest: TensorRtManifest = {
      ...bundleManifest(made.first, made),
      tensorrt: version.name,
      floats: version.stronglyTyped ? 'float16' : 'float32',
    };
    const facts = { ...readmeFacts(manifest, version, standardVersion(made.first.model)), ...textFacts(made) };
    const own = new Map<string, Content>([
      ...(await implicitFiles(made, version, options.output)),
      ['engines.txt', engineList(manifest, version.stronglyTyped)],
      ...(made.text ? [] : [['detect.txt', detectSettings(manifest)] as const]),
      ['README.md', await bundleReadme(runtime.name, facts)],
    ]);
    return { ...(await writeBundle(options.output, made, runtime, manifest, own)), tensorrt: version.name };
  });
}

const runtimeOf = (version: TensorRtVersion): BundleRuntime => ({
  name: 'tensorrt',
  target: tensorRt,
  version: version.name,
  hasAnySize: true,
  // detect.cpp has no tokenizer.
  fixedOnly: ['CMakeLists.txt', 'detect.cpp'],
  // A normalization that is written as its parts rounds otherwise, and moves steps of 8-bit numbers, as float16 does.
  limits: (precision) =>
    version.stronglyTyped || (precision === 'int8' && !version.layerNormalization) ? DEVICE_LIMITS : SAME,
  portable: (source) => portableForm(source, version),
  finish: async ({ model, source, family }) => {
    if (!version.integerWeights) await storeFloatWeights(model);
    if (version.stronglyTyped) await storeHalf(model, { single: family.singlePrecision ?? [] }, source);
  },
});

/** The file of the model with TensorRT's plug-in, and the end of the name of its engine. */
const PLUGIN_MODEL = 'model.plugin.onnx';
const PLUGIN = 'plugin';

/**
 * Adds the main model with deformable attention by TensorRT's plug-in. ONNX Runtime, which has no such plug-in, checks it with a body
 * in its place.
 */
async function withPlugin(bundle: MadeBundle, output: string, runtime: BundleRuntime): Promise<MadeBundle> {
  const main = bundle.models.find(({ engine }) => engine.model === MAIN_MODEL);
  if (!main) throw new Error('a bundle has a main model');
  const model = copyModel(main.made.model);
  if (useAttentionPlugin(model) === 0) return bundle;
  checkByTable(model, `${output}/${PLUGIN_MODEL}`, runtime);
  const found = await boxesOf({ ...main.made, model: withPluginBodies(model) }, bundle);
  const limits = runtime.limits(bundle.precision);
  if (agreement(main.expected, found, limits) < limits.share)
    throw new InputError(
      `${output} is not written, because its model with the plug-in of TensorRT does not find the boxes in the picture of the check; this is a defect of dino8.`,
    );
  const engine = { ...main.engine, name: `${main.engine.name}.${PLUGIN}`, model: PLUGIN_MODEL };
  const added = { ...main, engine, made: { ...main.made, model }, files: modelFiles(model, PLUGIN_MODEL) };
  return { ...bundle, models: [...bundle.models, added], engines: [...bundle.engines, engine] };
}

/** The main model for implicit quantization and its calibration cache, for versions that have it. */
async function implicitFiles(
  bundle: MadeBundle,
  { name: version, calibrationCache: number }: TensorRtVersion,
  output: string,
): Promise<Map<string, Content>> {
  const { models, precision } = bundle;
  const main = models.find(({ engine }) => engine.model === MAIN_MODEL);
  if (precision !== 'int8' || number === undefined || !main) return new Map();
  const model = copyModel(main.made.model);
  const scales = removePairs(model, output);
  await checkModel(model, `${output}/${IMPLICIT_MODEL}`, { target: tensorRt, version });
  const found = await boxesOf({ ...main.made, model }, bundle);
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

function readmeFacts(
  { precision, engines, text }: TensorRtManifest,
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
    precision:
      precision === 'int8'
        ? `INT8 where Q/DQ pairs are, ${rest} elsewhere`
        : `${rest}, because the model that it was made from is not quantized`,
    typing: version.stronglyTyped
      ? 'The types in the files decide the precision of every layer (strong typing).'
      : 'TensorRT chooses among the precisions that `build.sh` allows (weak typing).',
    sizes: fixed.map(({ name, model }) => `| ${name} | \`${model}\` | \`engines/${name}.engine\` |`).join('\n'),
    any: engines.some(({ profile }) => profile)
      ? '`bash build.sh any` builds one engine for all sizes from the smallest to the largest; it is slower than those for one size.\n\n'
      : '',
    flags: flagsByHand(version, precision),
    cpp: text ? NO_CPP : CPP,
    settings: text ? '' : ' `detect.txt`: what `detect.cpp` reads.',
    implicit: precision === 'int8' && version.calibrationCache !== undefined ? IMPLICIT : '',
  };
}

/** The options of trtexec for the main model, as `build.sh` gives them. */
function flagsByHand({ name, stronglyTyped }: TensorRtVersion, precision: BundlePrecision): string {
  if (stronglyTyped) return `--memPoolSize=workspace:1024${name === '11' ? '' : ' --stronglyTyped'}`;
  return `--workspace=1024${precision === 'int8' ? ' --int8' : ''}`;
}

/** What the README says of the program in C++. */
const CPP = `The same in C++, without Python: \`cmake -B build && cmake --build build\`, then
\`build/detect engines/SIZE.engine detect.txt photo.ppm\`. It needs TensorRT and the CUDA runtime only, reads binary PPM files
(\`ffmpeg -i photo.jpg photo.ppm\`), and prints what \`run.py\` prints.`;
const NO_CPP =
  'The program in C++ of other bundles, `detect.cpp`, has no tokenizer: export a bundle for fixed phrases, without `--tokens`, to have it.';

/** What the README says of implicit quantization, for bundles that have it. */
const IMPLICIT = `
The files \`model.implicit.onnx\` and \`calibration.cache\` are for implicit quantization, in which TensorRT chooses by itself what it
computes in INT8; it is deprecated since TensorRT 10.1:

\`\`\`sh
/usr/src/tensorrt/bin/trtexec --onnx=model.implicit.onnx --saveEngine=implicit.engine --int8 --calib=calibration.cache --workspace=1024
\`\`\`
`;
