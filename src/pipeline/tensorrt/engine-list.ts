/** The part of a manifest that the shell scripts of a bundle for TensorRT read. */
import { InputError } from '../../base/errors.ts';
import type { Size } from '../../data/size.ts';
import type { BundleManifest } from '../bundles/manifest.ts';

/** The content of `bundle.json` in a bundle for TensorRT. */
export interface TensorRtManifest extends BundleManifest {
  /** The version of TensorRT that the models are for. */
  readonly tensorrt: string;
  /** The type of what is not in INT8; with float16, some parts stay in float32. */
  readonly floats: 'float16' | 'float32';
}

/** Names in texts of lines are separated by spaces and read by a shell. */
export const PLAIN_NAME = /^[A-Za-z0-9_][A-Za-z0-9_.-]*$/;

/**
 * The content of `engines.txt`, the part of the manifest that shell scripts read: a line for each setting and engine.
 * @throws InputError if the model has an input of a name that a shell could take for something else
 */
export function engineList({ tensorrt, precision, input, engines }: TensorRtManifest, stronglyTyped: boolean): string {
  if (!PLAIN_NAME.test(input))
    throw new InputError(
      `The input ${JSON.stringify(input.slice(0, 60))} of the model has a name that scripts cannot carry; give it one of letters, digits, dots and dashes.`,
    );
  const shape = ({ height, width }: Size) => `1x3x${height}x${width}`;
  const lines = engines.map(({ name, model, profile }) => {
    const shapes = profile ? [profile.min, profile.opt, profile.max].map(shape) : ['-', '-', '-'];
    return ['engine', name, model, ...shapes].join(' ');
  });
  return [
    '# Read by build.sh and bench.sh: engine NAME MODEL MIN OPT MAX, with - where the size is fixed.',
    `tensorrt ${tensorrt}`,
    `precision ${precision}`,
    `typing ${stronglyTyped ? 'strong' : 'weak'}`,
    `input ${input}`,
    ...lines,
    '',
  ].join('\n');
}
