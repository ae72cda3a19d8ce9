/**
 * The gradient of bilinear sampling (Jaderberg et al. 2015, https://arxiv.org/abs/1506.02025) in standard operators, for
 * GridSample over two spatial axes with linear interpolation, zeros outside the image, and `align_corners` 0.
 */
import { findAttribute, integerAttribute } from '../onnx/attributes.ts';
import type { GraphBuilder, Value } from '../onnx/builder.ts';
import { DataType, type NodeProto } from '../onnx/types.ts';
import { zerosLike } from './rule.ts';

/**
 * Adds the nodes that compute the gradients of the image and of the grid.
 * @param image [batch, channels, height, width]
 * @param grid the sampling positions [batch, rows, columns, 2], as (x, y) from −1 to 1
 * @param gradient the gradient of the samples [batch, channels, rows, columns]
 * @throws Error if the node samples in another mode
 */
export function gridSampleGradient(
  b: GraphBuilder,
  node: NodeProto,
  image: Value,
  grid: Value,
  gradient: Value,
): { image: Value; grid: Value } {
  checkMode(node);
  const height = b.cast(b.squeeze(b.dimension(image, 2), [0]), DataType.FLOAT);
  const width = b.cast(b.squeeze(b.dimension(image, 3), [0]), DataType.FLOAT);
  const [batch, channels] = [b.dimension(image, 0), b.dimension(image, 1)];
  const points = b.reshape(grid, [0, 1, -1, 2]);
  const along = (axis: number, size: Value) => {
    // Position −1 is the outer edge of the first pixel, whose centre is half a pixel further.
    const at = b.sub(b.mul(b.add(b.squeeze(b.slice(points, [axis], [axis + 1], [3]), [3]), 1), b.mul(size, 0.5)), 0.5);
    const low = b.floor(at);
    return { low, fraction: b.sub(at, low) };
  };
  const [x, y] = [along(0, width), along(1, height)]; // [batch, 1, samples]
  const flatImage = b.reshape(image, [batch, channels, -1]);
  const flatGradient = b.reshape(gradient, [batch, channels, -1]);
  let imageGradient = b.reshape(zerosLike(b, image), [batch, channels, -1]);
  const xSlopes: Value[] = [];
  const ySlopes: Value[] = [];
  for (const [right, below] of [
    [0, 0],
    [1, 0],
    [0, 1],
    [1, 1],
  ] as const) {
    const [column, row] = [b.add(x.low, right), b.add(y.low, below)];
    const isInside = [
      b.greaterOrEqual(column, 0),
      b.less(column, width),
      b.greaterOrEqual(row, 0),
      b.less(row, height),
    ].reduce((all, next) => b.and(all, next));
    const index = b.cast(b.where(isInside, b.add(b.mul(row, width), column), 0), DataType.INT64);
    const everyChannel = b.expand(index, [b.shapeOf(flatGradient)]);
    const across = right ? x.fraction : b.sub(1, x.fraction);
    const down = below ? y.fraction : b.sub(1, y.fraction);
    const inside = b.cast(isInside, DataType.FLOAT);
    const weighted = b.mul(flatGradient, b.mul(inside, b.mul(across, down)));
    imageGradient = b.scatterAdd(imageGradient, everyChannel, weighted, 2);
    const value = b.mul(b.gatherElements(flatImage, everyChannel, 2), inside);
    const slope = b.reduceSum(b.mul(value, flatGradient), [1]);
    xSlopes.push(b.mul(slope, right ? down : b.neg(down)));
    ySlopes.push(b.mul(slope, below ? across : b.neg(across)));
  }
  const total = (slopes: Value[], size: Value) => b.unsqueeze(b.mul(b.sum(slopes), b.mul(size, 0.5)), [3]);
  const slopes = b.concat([total(xSlopes, width), total(ySlopes, height)], 3);
  return {
    image: b.reshape(imageGradient, [b.shapeOf(image)]),
    grid: b.reshape(slopes, [b.shapeOf(grid)]),
  };
}

function checkMode(node: NodeProto): void {
  const text = (name: string) => new TextDecoder().decode(findAttribute(node, name)?.s);
  const isLinear = ['', 'linear', 'bilinear'].includes(text('mode'));
  const isZeros = ['', 'zeros'].includes(text('padding_mode'));
  if (!isLinear || !isZeros || integerAttribute(node, 'align_corners', 0) !== 0)
    throw new Error('only linear GridSample with zeros outside and corners that are not aligned has a gradient');
}
