/** Shape inference for pooling over the spatial dimensions of [batch, channels, …spatial]. */
import { integerAttribute, integersAttribute } from '../attributes.ts';
import { DataType, type Dimension } from '../types.ts';
import type { Rule } from './rule.ts';

const globalPool: Rule = ({ inputs: [x] }) => [
  x && { type: x.type, shape: x.shape?.map((dimension, axis) => (axis < 2 ? dimension : 1)) },
];

const pool: Rule = ({ node, inputs: [x] }) => {
  if (!x?.shape) return [x && { type: x.type, shape: undefined }];
  const kernel = integersAttribute(node, 'kernel_shape') ?? [];
  const strides = integersAttribute(node, 'strides') ?? [];
  const dilations = integersAttribute(node, 'dilations') ?? [];
  const pads = integersAttribute(node, 'pads') ?? [];
  // The size is not worked out where it depends on more than these attributes.
  const isPlain =
    integerAttribute(node, 'ceil_mode', 0) === 0 && node.attribute.every(({ name }) => name !== 'auto_pad');
  const spatial = x.shape.slice(2).map((size, axis): Dimension => {
    const taps = kernel[axis];
    if (!isPlain || typeof size !== 'number' || taps === undefined) return undefined;
    const reach = (dilations[axis] ?? 1) * (taps - 1) + 1;
    const padded = size + (pads[axis] ?? 0) + (pads[axis + kernel.length] ?? 0);
    return Math.floor((padded - reach) / (strides[axis] ?? 1)) + 1;
  });
  const shape = [...x.shape.slice(0, 2), ...spatial];
  return [
    { type: x.type, shape },
    { type: DataType.INT64, shape },
  ];
};

/** Rules by operator. */
export const poolingRules: Record<string, Rule> = {
  GlobalAveragePool: globalPool,
  GlobalMaxPool: globalPool,
  GlobalLpPool: globalPool,
  AveragePool: pool,
  MaxPool: pool,
  LpPool: pool,
};
