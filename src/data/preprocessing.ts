/**
 * How a checkpoint wants its pictures prepared: the settings of Hugging Face's image processor, under its names. This schema
 * is the only place that knows them. Every setting is honoured with the numbers of transformers 5.18 or refused by name, and
 * what a file leaves out has the default of the image processors of DETR and its descendants. docs/preprocessing.md is for users.
 */
import { z } from 'zod';
import { describeValue } from '../base/describe-value.ts';
import { InputError } from '../base/errors.ts';
import { parseWith } from '../base/schema.ts';
import { RESAMPLING_FILTERS, type Resampling } from './resample.ts';
import type { Size, SizeRule } from './size.ts';

/** The settings by which pixels become the model's input, each of them stated, under the names of preprocessor_config.json. */
export interface Preprocessing {
  /** Whether pictures are resized. */
  readonly do_resize: boolean;
  /** The size that pictures are resized to; undefined if they are not. */
  readonly size?: SizeRule | undefined;
  /** The filter by which they are resized, in Pillow's numbering: 2 is bilinear. */
  readonly resample: Resampling;
  /** Whether pixels from 0 to 255 are multiplied by `rescale_factor`. */
  readonly do_rescale: boolean;
  /** The factor of a pixel. */
  readonly rescale_factor: number;
  /** Whether the mean is subtracted and the result divided by the standard deviation. */
  readonly do_normalize: boolean;
  /** The mean of red, green and blue after scaling. */
  readonly image_mean: readonly [number, number, number];
  /** The standard deviation of red, green and blue after scaling. */
  readonly image_std: readonly [number, number, number];
  /** Whether pictures are padded on the right and at the bottom, so that those of a batch have one size. */
  readonly do_pad: boolean;
  /** The size that every picture is padded to; undefined pads to the largest picture of a batch. */
  readonly pad_size?: Size | undefined;
}

/** Larger pictures would need more memory than any machine has. */
const LARGEST_SIDE = 16_384;
const side = z.int().min(1).max(LARGEST_SIDE);

/** A switch; transformers takes `null` as off. */
const isOn = z
  .boolean()
  .nullish()
  .transform((given) => (given === undefined ? true : (given ?? false)));

/** Settings are computed with as floats of 32 bits, in which larger or smaller ones would make infinities of pixels. */
const number = z.number().min(-1e6).max(1e6);
const positive = z.number().min(1e-6).max(1e6);
const perChannel = (each: z.ZodNumber) =>
  z
    .union([each, z.tuple([each, each, each])], {
      error: 'it must be a number or three numbers, for red, green and blue',
    })
    .transform((value): readonly [number, number, number] =>
      typeof value === 'number' ? [value, value, value] : value,
    );

const size = z.strictObject({ height: side, width: side });
const heightAndWidth = z.union([size, z.tuple([side, side]).transform(([height, width]): Size => ({ height, width }))]);

const SIZE_FORMS =
  'it must have shortest_edge and longest_edge, or height and width, or max_height and max_width, in whole pixels';
const sizeRule = z.union(
  [
    z.strictObject({ shortest_edge: side, longest_edge: side }),
    z.strictObject({ max_height: side, max_width: side }),
    heightAndWidth,
  ],
  { error: SIZE_FORMS },
);

const PAD_FORMS = 'it must have height and width, in whole pixels';
const padSize = z.union([heightAndWidth, side.transform((each): Size => ({ height: each, width: each }))], {
  error: PAD_FORMS,
});

const filters = Object.entries(RESAMPLING_FILTERS).map(([index, name]) => `${index} (${name})`);
const resampling = z.custom<Resampling>(
  (value) => typeof value === 'number' && Object.hasOwn(RESAMPLING_FILTERS, value),
  `it must be one of Pillow's filters: ${filters.join(', ')}`,
);

const IMAGENET = { mean: [0.485, 0.456, 0.406], std: [0.229, 0.224, 0.225] } as const;
/** The size of the published models. */
const PUBLISHED_SIZE = { shortest_edge: 800, longest_edge: 1333 } as const;

const off = (reason: string) => z.union([z.literal(false), z.null()], { error: reason }).optional();

const settingsSchema = z.object({
  do_resize: isOn,
  do_rescale: isOn,
  do_normalize: isOn,
  do_pad: isOn,
  /** The name of `do_pad` until transformers 4.4. */
  pad_and_return_pixel_mask: isOn,
  /** transformers does not crop for this model, whatever the file says. */
  do_center_crop: off('dino8 does not crop pictures'),
  data_format: z.literal('channels_first', { error: 'only "channels_first" is possible' }).nullish(),
  input_data_format: z.literal('channels_last', { error: 'only "channels_last" is possible' }).nullish(),
  image_processor_type: z.string().nullish(),
  /** The name of `image_processor_type` in the time of feature extractors. */
  feature_extractor_type: z.string().nullish(),
});

/** The settings of each step, which are read only if the step is done, with the defaults of transformers. */
const resizingSchema = z.object({ resample: resampling.default(2) });
const rescalingSchema = z.object({ rescale_factor: positive.default(1 / 255) });
const normalizingSchema = z.object({
  image_mean: perChannel(number).default(IMAGENET.mean),
  image_std: perChannel(positive).default(IMAGENET.std),
});
const paddingSchema = z.object({ pad_size: padSize.nullish() });
const PARTS = ['resample', 'rescale_factor', 'image_mean', 'image_std', 'size', 'max_size', 'pad_size'];

/** Settings that change no pixel of a picture in RGB: those of annotations, of batching, and records of how a file came about. */
const INERT = new Set([
  'crop_size', // is read with do_center_crop alone
  'default_to_square', // transformers overrules it for this model
  'device',
  'disable_grouping',
  'do_convert_annotations',
  'do_convert_rgb', // dino8 reads every picture as RGB
  'do_reduce_labels',
  'format',
  'image_seq_length',
  'masks_path',
  'model_input_names',
  'name_or_path',
  'processor_class',
  'reduce_labels',
  'return_segmentation_masks',
  'return_tensors',
  'transformers_version',
  'use_fast',
]);

/** Keys with an underscore are bookkeeping of transformers, such as `_valid_processor_keys`. */
const isInert = (key: string): boolean => INERT.has(key) || key.startsWith('_');

/**
 * Reads the settings of an image processor: the parsed JSON of preprocessor_config.json, or the part `image_processor` of
 * processor_config.json.
 *
 * @param source names the settings in errors
 * @param processors the classes of transformers that prepare images in this way; any class by default
 * @throws InputError that names a setting which is wrong, or which dino8 does not honour
 * @example
 * const preprocessing = parsePreprocessing({ size: { height: 640, width: 640 } }, 'my settings');
 */
export function parsePreprocessing(value: unknown, source: string, processors?: readonly string[]): Preprocessing {
  const given = parseWith(z.record(z.string(), z.unknown()), value, source);
  for (const [key, setting] of Object.entries(given))
    if (!(Object.hasOwn(settingsSchema.shape, key) || PARTS.includes(key) || isInert(key)) && setting !== null)
      throw new InputError(
        `${source} has the setting ${key}, which dino8 does not know and which may change pixels; remove it if it does not.`,
      );
  const { do_resize, do_rescale, do_normalize, ...settings } = parseWith(settingsSchema, given, source);
  const type = settings.image_processor_type ?? settings.feature_extractor_type;
  if (typeof type === 'string' && processors && !processors.includes(type))
    throw new InputError(
      `${source} is for the image processor ${describeValue(type)}, which dino8 does not know for this model; it knows ${processors[0]}.`,
    );
  const do_pad = given.do_pad === undefined ? settings.pad_and_return_pixel_mask : settings.do_pad;
  const { pad_size } = parseWith(paddingSchema, do_pad ? given : {}, source);
  return {
    do_resize,
    ...(do_resize && { size: readSize(given, source) }),
    ...parseWith(resizingSchema, do_resize ? given : {}, source),
    do_rescale,
    ...parseWith(rescalingSchema, do_rescale ? given : {}, source),
    do_normalize,
    ...parseWith(normalizingSchema, do_normalize ? given : {}, source),
    do_pad,
    ...(pad_size && { pad_size }),
  };
}

/** A whole number is the shorter side, and `max_size` beside it the longest side, as in the files of DETR's time. */
function readSize({ size: given, max_size }: Readonly<Record<string, unknown>>, source: string): SizeRule {
  if (given == null) return PUBLISHED_SIZE;
  const longest = max_size === undefined ? PUBLISHED_SIZE.longest_edge : max_size;
  const value = typeof given === 'number' ? { shortest_edge: given, longest_edge: longest } : given;
  return parseWith(z.object({ size: sizeRule }), { size: value }, source).size;
}

/**
 * The settings as they are written into a model and beside it: those that change pixels spelled out, so that no reader needs
 * defaults of its own, and the others as the checkpoint had them.
 *
 * @param stored the JSON that the settings were read from
 */
export function completeSettings(stored: unknown, preprocessing: Preprocessing): Record<string, unknown> {
  const others = Object.entries(Object(stored)).filter(([key]) => isInert(key));
  return { ...Object.fromEntries(others), ...preprocessing };
}

/** The size of a typical landscape picture as the model takes it, for measurements without pictures. */
export function typicalSize({ size: rule, pad_size }: Pick<Preprocessing, 'size' | 'pad_size'>): Size {
  if (pad_size) return pad_size;
  if (!rule) return { height: PUBLISHED_SIZE.shortest_edge, width: PUBLISHED_SIZE.longest_edge };
  if ('height' in rule) return rule;
  if ('max_height' in rule) return { height: rule.max_height, width: rule.max_width };
  return { height: rule.shortest_edge, width: rule.longest_edge };
}
