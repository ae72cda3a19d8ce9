/**
 * `ai.dino8::SineEmbedding`: sines and cosines of numbers at several wavelengths (Vaswani et al. 2017,
 * https://arxiv.org/abs/1706.03762, section 3.5). ONNX Runtime computes Sin and Cos on one thread; dino8's library has a kernel
 * that computes both by vectors and interleaves them. The body is the same in separate operators.
 */
import { GraphBuilder } from '../../../onnx/builder.ts';
import { DOMAIN, SINE_EMBEDDING } from '../../../onnx/dino8-operators.ts';
import { DataType, type FunctionProto } from '../../../onnx/types.ts';

/**
 * Defines the function. Its inputs:
 * - position float [..., 1]
 * - wavelengths float [size / 2]
 *
 * Output y float [..., size]: for each wavelength the sine of position / wavelength, and then the cosine.
 */
export function sineEmbeddingFunction(): FunctionProto {
  const b = new GraphBuilder(SINE_EMBEDDING);
  const position = b.input('position', DataType.FLOAT, []);
  const angles = b.div(position, b.input('wavelengths', DataType.FLOAT, [undefined]));
  const pairs = b.concat([b.unsqueeze(b.sin(angles), [-1]), b.unsqueeze(b.cos(angles), [-1])], -1);
  const size = b.concat([b.shapeOf(position, 0, -1), b.integers(-1)], 0);
  b.output('y', b.reshape(pairs, [size]));
  return b.finishFunction(DOMAIN);
}
