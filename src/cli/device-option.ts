/** `--device`, which says where a model runs. */
import { Option } from '@commander-js/extra-typings';
import { PROVIDER_NAMES } from '../runtime/options.ts';

/** `--device` */
export const deviceOption = () =>
  new Option(
    '--device <device>',
    'where the model runs; all but cpu need a build of ONNX Runtime with it, and dino8 doctor lists those that work (default: cpu)',
  ).choices([...PROVIDER_NAMES]);
