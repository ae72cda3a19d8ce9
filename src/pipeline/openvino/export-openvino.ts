/** The step from a detector to a folder that runs with OpenVINO, without dino8. */
import type { Content } from '../../base/write-folder.ts';
import { openVino } from '../../quant/targets/openvino/openvino.ts';
import {
  type BundleOptions,
  type BundleRuntime,
  bundleSchemas,
  makeBundle,
  SAME,
  type WrittenBundle,
  writeBundle,
} from '../bundles/bundle.ts';
import { portableForm } from '../bundles/bundle-models.ts';
import { bundleReadme, textFacts } from '../bundles/bundle-templates.ts';
import { bundleManifest } from '../bundles/manifest.ts';
import { runStep } from '../run-step.ts';

const RUNTIME: BundleRuntime = {
  name: 'openvino',
  target: openVino,
  hasAnySize: false,
  limits: () => SAME,
  portable: (source) => portableForm(source, { opset: 17 }),
  finish: async () => {},
};

/**
 * Writes a bundle for OpenVINO: a model for each size, scripts that detect with them and compare their boxes with those of dino8, and
 * pre- and post-processing as data. The models are checked in ONNX Runtime.
 *
 * @throws UsageError if a size or the phrases are not possible, or if the model is made for another runtime
 * @throws InputError if a model would not load, or would compute something else, in OpenVINO
 * @example
 * await exportOpenVino({
 *   model: 'tiny.openvino.onnx',
 *   output: 'openvino/',
 *   sizes: [{ height: 480, width: 640 }],
 *   phrases: ['forklift', 'person without helmet'],
 * });
 */
export async function exportOpenVino(options: BundleOptions): Promise<WrittenBundle> {
  return runStep('exportOpenVino', bundleSchemas, options, async () => {
    const made = await makeBundle(options, RUNTIME);
    const manifest = bundleManifest(made.first, made);
    const facts = {
      precision: made.precision === 'int8' ? 'INT8 where Q/DQ pairs are, float elsewhere' : 'float, not quantized',
      sizes: made.engines
        .filter(({ size }) => size)
        .map(({ name, model }) => `| ${name} | \`${model}\` |`)
        .join('\n'),
      ...textFacts(made),
    };
    const own = new Map<string, Content>([['README.md', await bundleReadme(RUNTIME.name, facts)]]);
    return writeBundle(options.output, made, RUNTIME, manifest, own);
  });
}
