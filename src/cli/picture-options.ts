/** The options that say how pictures become the input of a model that is no detector of dino8, and sizes of its inputs. */
import { Option } from '@commander-js/extra-typings';
import { UsageError } from '../base/errors.ts';
import { CHANNEL_ORDERS, type ChannelOrder, LAYOUTS, type Layout } from '../data/image-input.ts';
import type { Size } from '../data/size.ts';
import { PICTURE_DEFAULTS, type PictureOptions } from '../pipeline/samples.ts';
import { optionGroup } from './option-group.ts';

/** The words for the inputs of any model, which are the same in every command. */
export const INPUTS_ARGUMENT =
  "for a detector of dino8 a data set, as a folder of images with annotations, a JSON file in COCO's format or a data.yaml; for any other model a .npz, .safetensors or .npy file, a folder of them, or with --mean and --std a folder of pictures";

type Channels = readonly [number, number, number];

/** `--mean` */
const meanOption = () =>
  new Option('--mean <a,b,c>', 'for pictures: subtract this from the three channels, after --scale').argParser(
    threeNumbers('--mean'),
  );

/** `--std` */
const stdOption = () =>
  new Option('--std <a,b,c>', 'for pictures: divide the three channels by this, after --mean').argParser((text) => {
    const values = threeNumbers('--std')(text);
    if (values.includes(0)) throw new UsageError('--std must not contain 0.');
    return values;
  });

/** `--scale` */
const scaleOption = () =>
  new Option('--scale <factor>', 'for pictures: multiply pixels of 0 to 255 by this number (default: 1/255)').argParser(
    (text) => {
      const [numerator = Number.NaN, denominator = 1, ...rest] = text.split('/').map(Number);
      const value = numerator / denominator;
      if (rest.length > 0 || !Number.isFinite(value) || value === 0)
        throw new UsageError(`--scale must be a number such as 0.5 or 1/255, not "${text}".`);
      return value;
    },
  );

/** `--layout` */
const layoutOption = () =>
  new Option(
    '--layout <layout>',
    `for pictures: the order of dimensions (default: ${PICTURE_DEFAULTS.layout})`,
  ).choices(LAYOUTS);

/** `--channels` */
const channelsOption = () =>
  new Option(
    '--channels <order>',
    `for pictures: the order of channels (default: ${PICTURE_DEFAULTS.channels})`,
  ).choices(CHANNEL_ORDERS);

/** `--size` */
const sizeOption = () =>
  new Option(
    '--size <HxW>',
    'for pictures: stretch them to this height and width; needed unless the model has a fixed size',
  ).argParser((text): Size => {
    const [, height = 0, width = 0] = (/^(\d{1,5})x(\d{1,5})$/.exec(text) ?? []).map(Number);
    if (height < 1 || width < 1) throw new UsageError(`--size must be like 480x640, height and width, not "${text}".`);
    return { height, width };
  });

/** `--input` */
const inputOption = () =>
  new Option('--input <name>', 'for pictures: the input of the model that is the picture, if it has several');

/** `--shape` */
export const shapeOption = () =>
  new Option(
    '--shape <name=sizes...>',
    'the shape of an input whose sizes the model does not state, such as x=1,3,640,640; for models that are no detectors of dino8',
  ).argParser((text: string, previous: Readonly<Record<string, readonly number[]>> | undefined) => {
    const at = text.lastIndexOf('=');
    const sizes = text
      .slice(at + 1)
      .split(',')
      .map(Number);
    if (at < 1 || !sizes.every((size) => Number.isSafeInteger(size) && size > 0))
      throw new UsageError(`--shape must be like x=1,3,640,640, not "${text}".`);
    return { ...previous, [text.slice(0, at)]: sizes };
  });

function threeNumbers(option: string): (text: string) => Channels {
  return (text) => {
    const [a, b, c, ...rest] = text.split(',').map((part) => (part.trim() === '' ? Number.NaN : Number(part)));
    if (a === undefined || b === undefined || c === undefined || rest.length > 0 || ![a, b, c].every(Number.isFinite))
      throw new UsageError(`${option} must be three numbers such as 0.485,0.456,0.406, not "${text}".`);
    return [a, b, c];
  };
}

/** The values of the options for pictures. */
export interface PictureValues {
  readonly mean?: Channels | undefined;
  readonly std?: Channels | undefined;
  readonly scale?: number | undefined;
  readonly layout?: Layout | undefined;
  readonly channels?: ChannelOrder | undefined;
  readonly size?: Size | undefined;
  readonly input?: string | undefined;
}

/** Adds the options for pictures to a command. `separatePictures` reads them. */
export const addPictureOptions = optionGroup<PictureValues>(() => [
  meanOption(),
  stdOption(),
  scaleOption(),
  layoutOption(),
  channelsOption(),
  sizeOption(),
  inputOption(),
]);

/**
 * Separates the settings for pictures, which are undefined if none are given, from the other options of a command.
 *
 * @throws UsageError if the mean or the deviation is missing
 */
export function separatePictures<Options extends PictureValues>({
  mean,
  std,
  scale,
  layout,
  channels,
  size,
  input,
  ...others
}: Options): { pictures: PictureOptions | undefined; others: Omit<Options, keyof PictureValues> } {
  return { pictures: picturesOf({ mean, std, scale, layout, channels, size, input }), others };
}

function picturesOf({ mean, std, scale, layout, channels, size, input }: PictureValues): PictureOptions | undefined {
  const others = { scale, layout, channels, size, input };
  if (mean && std) {
    const stated = Object.fromEntries(Object.entries(others).filter(([, value]) => value !== undefined));
    return { mean, std, ...stated };
  }
  const given = Object.entries({ mean, std, ...others }).find(([, value]) => value !== undefined);
  if (given) throw new UsageError(`--${given[0]} is for pictures, which need both --mean and --std.`);
  return undefined;
}
