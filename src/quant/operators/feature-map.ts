/** Features of an image or a text, as opposed to masks, scalars and vectors. */
import { DataType } from '../../onnx/types.ts';
import type { GraphFacts } from './operator.ts';

/** Features have at least [batch, positions, channels]. */
const LOWEST_RANK = 3;

/**
 * The number of channels of a float value [..., channels], or of one [batch, channels, height, width] whose size is not
 * fixed; undefined for values of other forms.
 */
export function channelsOf(name: string, { infos }: GraphFacts): number | undefined {
  const info = infos.get(name);
  const shape = info?.shape ?? [];
  if (info?.type !== DataType.FLOAT || shape.length < LOWEST_RANK) return undefined;
  const [last, second] = [shape.at(-1), shape.length === 4 ? shape[1] : undefined];
  return typeof last === 'number' ? last : typeof second === 'number' ? second : undefined;
}
