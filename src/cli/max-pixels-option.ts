/** `--max-pixels`, which every command has that reads pictures. */
import { Option } from '@commander-js/extra-typings';
import { DEFAULT_MAX_PIXELS } from '../data/pixel-limit.ts';

/** `--max-pixels`. The step that gets the number checks it. */
export const maxPixelsOption = () =>
  new Option(
    '--max-pixels <count>',
    `refuse pictures and frames of videos with more than this many pixels before they are decoded (default: ${DEFAULT_MAX_PIXELS}, which take ${Math.round((3 * DEFAULT_MAX_PIXELS) / 1e6)} MB)`,
  ).argParser(Number);
