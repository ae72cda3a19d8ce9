/** What the scripts of a bundle read: pre- and post-processing, phrases and engines, as data. */
import { packageVersion } from '../../base/package-root.ts';
import type { Size } from '../../data/size.ts';
import { DEFAULT_THRESHOLD } from '../../detect/select-boxes.ts';
import type { PromptLayout } from '../../models/detection-family.ts';
import { detectionOf } from '../../models/family.ts';
import type { FixedPrompt } from '../../models/fixed-prompt.ts';
import type { ModelPackage } from '../../models/package/package.ts';
import { type BundleSizes, sizeName } from './bundle-sizes.ts';

/** The precision of a bundle's models: products in INT8 by Q/DQ pairs, or no quantization. */
export type BundlePrecision = 'int8' | 'float';

/** A model of a bundle, or an engine that is built of it on the device. */
export interface BundleEngine {
  /** Its name: its size, `any`, or `text` for the text encoder. */
  readonly name: string;
  /** The file of the model. */
  readonly model: string;
  /** The size of its images; undefined for an engine for several sizes, and for the text encoder. */
  readonly size?: Size | undefined;
  /** The smallest, the usual and the largest size of an engine for several sizes. */
  readonly profile?:
    | {
        /** The smallest size. */
        readonly min: Size;
        /** The size that the engine is made for. */
        readonly opt: Size;
        /** The largest size. */
        readonly max: Size;
      }
    | undefined;
}

/** The content of `bundle.json`. */
export interface BundleManifest {
  /** The version of this form. */
  readonly format: 1;
  /** The version of dino8 that wrote it. */
  readonly dino8: string;
  readonly precision: BundlePrecision;
  /** The name of the input: normalised pixels, float32 [1, 3, height, width]. */
  readonly input: string;
  /** The names of the results: logits [1, queries, tokens], and boxes (cx, cy, w, h) as parts of the picture [1, queries, 4]. */
  readonly outputs: { readonly logits: string; readonly boxes: string };
  readonly engines: readonly BundleEngine[];
  /**
   * In a bundle that takes other phrases than its own, how they become inputs of the models. A prompt runs once through the text
   * encoder, whose result is an input of the other models.
   */
  readonly text?: (PromptLayout & { readonly engine: string; readonly length: number }) | undefined;
  /** A picture is stretched to the engine's size by this filter of Pillow; then each channel is (x · scale − mean) / deviation. */
  readonly preprocessing: {
    readonly resample: number;
    readonly scale: number;
    readonly mean: readonly number[];
    readonly deviation: readonly number[];
  };
  /**
   * Of each query the phrase with the highest mean probability of its tokens is taken, and the highest probability of its tokens is
   * the score.
   */
  readonly postprocessing: {
    readonly threshold: number;
    /** The phrases, each with its tokens: those from `begin` to before `end`. */
    readonly phrases: readonly { readonly label: string; readonly begin: number; readonly end: number }[];
  };
}

/** The name of the model for the main size, which NVIDIA's tools are given by hand too. */
export const MAIN_MODEL = 'model.onnx';
const ANY_SIZE = 'any';

/** The text encoder of a bundle that takes other phrases than its own. */
export const TEXT_ENGINE: BundleEngine = { name: 'text', model: 'model.text.onnx' };

/** The engines of a bundle: one for each size, and one for all if there are several and it is wanted. */
export function bundleEngines({ all, main }: BundleSizes, hasAnySize: boolean): BundleEngine[] {
  const fixed = all.map((size) => {
    const name = sizeName(size);
    return { name, size, model: size === main ? MAIN_MODEL : `model.${name}.onnx` };
  });
  if (all.length === 1 || !hasAnySize) return fixed;
  const limit = (choose: (...sides: number[]) => number): Size => ({
    height: choose(...all.map(({ height }) => height)),
    width: choose(...all.map(({ width }) => width)),
  });
  const profile = { min: limit(Math.min), opt: main, max: limit(Math.max) };
  return [...fixed, { name: ANY_SIZE, model: `model.${ANY_SIZE}.onnx`, profile }];
}

/** @param source a model of an image and a prompt, or of an image alone, quantized or not, in the form in which it is in the bundle */
export function bundleManifest(
  source: ModelPackage,
  {
    prompt: { phrases, chunk },
    precision,
    engines,
    text,
  }: {
    readonly prompt: FixedPrompt;
    /** The length of prompts, for models that take a prompt. */
    readonly text?: { readonly tokens: number } | undefined;
    readonly precision: BundlePrecision;
    readonly engines: readonly BundleEngine[];
  },
): BundleManifest {
  const { preprocessing, model } = source;
  const { do_rescale, rescale_factor, do_normalize, image_mean, image_std, resample } = preprocessing;
  const { results: outputs, promptLayout } = detectionOf(source);
  const ofPrompt = new Set(text ? Object.values(promptLayout.inputs) : []);
  const [input, ...others] = model.graph.input.map(({ name }) => name).filter((name) => !ofPrompt.has(name));
  if (input === undefined || others.length > 0)
    throw new Error('a model of a bundle takes an image and a prompt alone');
  if (chunk.phrases.some(({ phrase }, index) => phrase !== index)) throw new Error('phrases are in their order');
  return {
    format: 1,
    dino8: packageVersion(),
    precision,
    input,
    outputs,
    engines,
    ...(text && { text: { ...promptLayout, engine: TEXT_ENGINE.name, length: text.tokens } }),
    preprocessing: {
      resample,
      scale: do_rescale ? rescale_factor : 1,
      mean: do_normalize ? image_mean : [0, 0, 0],
      deviation: do_normalize ? image_std : [1, 1, 1],
    },
    postprocessing: {
      threshold: DEFAULT_THRESHOLD,
      phrases: chunk.phrases.map(({ phrase, begin, end }) => ({ label: phrases[phrase] ?? '', begin, end })),
    },
  };
}
