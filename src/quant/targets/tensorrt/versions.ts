/** The versions of TensorRT that models are written for one by one, and the form that each takes. */
import { UsageError } from '../../../base/errors.ts';

/** A version of TensorRT, with what models for it look like. */
export interface TensorRtVersion {
  /** The oldest version that such models are for; a version of the table in `operators.json`, or one that begins so. */
  readonly name: string;
  /** The versions that such models are for, in words. */
  readonly range: string;
  /**
   * The version of the operators: at most 17 for TensorRT 8, and 19, the first with pairs of float16, later. From 20 on GridSample's modes
   * have names that no version reads as they are meant.
   */
  readonly opset: number;
  /** False if it does not have LayerNormalization, which is then written as its parts. */
  readonly layerNormalization: boolean;
  /** False if it does not read the start and the end of Shape, so that Slice takes the part of a shape. */
  readonly shapeParts: boolean;
  /**
   * True if weights are stored as int8 with a DequantizeLinear alone. NVIDIA documents this for version 10 and later; before, weights
   * are floats with a pair, as NVIDIA's own tool writes them
   * (https://docs.nvidia.com/deeplearning/tensorrt/latest/inference-library/work-quantized-types.html).
   */
  readonly integerWeights: boolean;
  /**
   * The number by which a calibration cache names the version, for versions that quantize by such a file; undefined for others: it is
   * deprecated since 10.1 and gone in 11.
   */
  readonly calibrationCache?: string | undefined;
  /**
   * True if the types in the file decide the precision of every layer, so that float16 is written into it; false if TensorRT chooses among
   * those that are allowed.
   */
  readonly stronglyTyped: boolean;
}

/** From the oldest to the newest. */
export const TENSORRT_VERSIONS: readonly TensorRtVersion[] = [
  {
    name: '8.5',
    range: '8.5',
    opset: 17,
    layerNormalization: false,
    shapeParts: false,
    integerWeights: false,
    calibrationCache: '8502',
    stronglyTyped: false,
  },
  {
    name: '8.6',
    range: '8.6',
    opset: 17,
    layerNormalization: true,
    shapeParts: false,
    integerWeights: false,
    calibrationCache: '8602',
    stronglyTyped: false,
  },
  {
    name: '10.3',
    range: '10.3 and later versions 10',
    opset: 19,
    layerNormalization: true,
    shapeParts: true,
    integerWeights: true,
    stronglyTyped: true,
  },
  {
    name: '11',
    range: '11.0 and later versions 11',
    opset: 19,
    layerNormalization: true,
    shapeParts: true,
    integerWeights: true,
    stronglyTyped: true,
  },
];

/** The first two parts of a number of a version; undefined for what is none. */
function partsOf(version: string): readonly [major: number, minor: number] | undefined {
  const [, major, minor = '0'] = /^(\d{1,3})(?:\.(\d{1,3})(?:\.\d{1,6})*)?$/.exec(version) ?? [];
  return major === undefined ? undefined : [Number(major), Number(minor)];
}

/**
 * Returns the version that a number means: 8.6 for 8.6.2, and 10.3 for 10.7.
 * @throws UsageError if models are not written for it; the message lists the versions
 */
export function findTensorRtVersion(asked: string): TensorRtVersion {
  const [major, minor] = partsOf(asked) ?? [];
  const found = TENSORRT_VERSIONS.findLast(({ name }) => {
    const [ownMajor, oldest] = partsOf(name) ?? [];
    return ownMajor === major && oldest !== undefined && minor !== undefined && oldest <= minor;
  });
  if (found) return found;
  const ranges = TENSORRT_VERSIONS.map(({ name, range }) => (name === range ? name : `${name} (for ${range})`)).join(
    ', ',
  );
  throw new UsageError(
    `${asked ? `dino8 makes no bundle for TensorRT "${asked}"` : 'The version of TensorRT on the device is missing'}; name it with \`tensorrt\`, one of ${ranges}: JetPack 5.1 has 8.5, JetPack 6.0 has 8.6, JetPack 6.1 and 6.2 have 10.3, and \`dpkg -l libnvinfer-dev\` tells.`,
  );
}
