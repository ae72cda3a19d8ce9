/** The part of a manifest that `detect.cpp` reads: a text of lines, so that the program needs no library for JSON. */
import { InputError } from '../../base/errors.ts';
import type { BundleManifest } from '../bundles/manifest.ts';
import { PLAIN_NAME } from './engine-list.ts';

/**
 * The content of `detect.txt`: a line for each setting and phrase. Labels are JSON strings, as the program prints them.
 * @throws InputError if an input or a result has a name that a line cannot carry
 */
export function detectSettings({ input, outputs, preprocessing, postprocessing }: BundleManifest): string {
  const names = [input, outputs.logits, outputs.boxes];
  const broken = names.find((name) => !PLAIN_NAME.test(name));
  if (broken !== undefined)
    throw new InputError(
      `The name ${JSON.stringify(broken.slice(0, 60))} of an input or a result cannot be in a line of text; give it one of letters, digits, dots and dashes.`,
    );
  const { scale, mean, deviation } = preprocessing;
  const { threshold, phrases } = postprocessing;
  const lines = [
    '# Read by detect.cpp: "names" are those of the input and of the results, "phrase" has the first token, the one after the last, and the label.',
    `names ${names.join(' ')}`,
    `scale ${scale}`,
    `mean ${mean.join(' ')}`,
    `deviation ${deviation.join(' ')}`,
    `threshold ${threshold}`,
    ...phrases.map(({ label, begin, end }) => `phrase ${begin} ${end} ${JSON.stringify(label)}`),
  ];
  return `${lines.join('\n')}\n`;
}
