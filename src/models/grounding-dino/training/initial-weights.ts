/**
 * Random weights to train a network from scratch, as the reference implementation draws them: normal in the backbones,
 * uniform by Glorot and Bengio (2010, https://proceedings.mlr.press/v9/glorot10a.html) elsewhere, with the exceptions of
 * deformable attention and of the box heads.
 */
import { checkFields } from '../../../base/check-options.ts';
import { float } from '../../../onnx/attributes.ts';
import { defined, GraphBuilder, type Value } from '../../../onnx/builder.ts';
import { bytesOf } from '../../../onnx/tensor.ts';
import { elementCount } from '../../../onnx/types.ts';
import { modelBytes } from '../../../onnx/write.ts';
import { Session } from '../../../runtime/session.ts';
import { copyTensor } from '../../../runtime/tensor.ts';
import type { Checkpoint, StoredTensor } from '../../checkpoint/checkpoint.ts';
import type { Config } from '../config.ts';

/** The standard deviation of the weights of the backbones. */
const DEVIATION = 0.02;
/** The initial scale, a small one, of the values that a fusion layer adds to each modality. */
const FUSION_SCALE = 1e-4;

/**
 * Draws values for every tensor of a checkpoint.
 * @param checkpoint gives the names and shapes
 * @param seed the same seed gives the same numbers
 * @returns a tensor for each tensor of `checkpoint`, as 32-bit floats
 * @throws RuntimeError if the values cannot be computed
 * @example
 * const { config, tensors } = await readHuggingFace('grounding-dino-tiny');
 * const fresh = await initialWeights(tensors, config, 0);
 */
export async function initialWeights(checkpoint: Checkpoint, config: Config, seed: number): Promise<Checkpoint> {
  checkFields('The checkpoint must be a map of tensors', checkpoint, 'get', 'entries');
  const b = new GraphBuilder('initial-weights');
  const names = [...checkpoint.keys()];
  for (const [index, [name, { shape }]] of [...checkpoint].entries())
    b.output(`${index}`, initialValue(b, name, shape, config, seed * names.length + index));
  await using session = await Session.create(modelBytes(b.finish()), {}, 'the initial weights');
  using outputs = await session.run({});
  return new Map(
    names.map((name, index): [string, StoredTensor] => {
      const { type, shape, data } = copyTensor(outputs.get(`${index}`));
      return [name, { type, shape, bytes: bytesOf(data) }];
    }),
  );
}

function initialValue(b: GraphBuilder, name: string, shape: readonly number[], config: Config, seed: number): Value {
  const constant = (value: number) => b.constant(new Float32Array(elementCount(shape)).fill(value), shape);
  const normal = (deviation: number) =>
    defined(b.call('', 'RandomNormal', [], { shape, scale: float(deviation), seed: float(seed) })[0]);
  if (/sampling_offsets\.bias$/.test(name)) return b.constant(offsetGrid(name, shape, config), shape);
  if (/(sampling_offsets|attention_weights)\./.test(name)) return constant(0);
  // A box head starts with the identity: boxes stay where they are proposed.
  if (/bbox_embed\.(\d+\.)?layers\.2\./.test(name)) return constant(0);
  if (/(vision|text)_param$/.test(name)) return constant(FUSION_SCALE);
  if (/(level_embed|query_position_embeddings\.weight)$/.test(name)) return normal(1);
  if (isNormScale(name, shape)) return constant(1);
  if (shape.length < 2) return constant(0);
  if (/backbone|text_projection|_table$/.test(name)) return normal(DEVIATION);
  const [outputs = 1, inputs = 1, ...kernel] = shape;
  const limit = Math.sqrt(6 / ((inputs + outputs) * elementCount(kernel)));
  return defined(
    b.call('', 'RandomUniform', [], { shape, low: float(-limit), high: float(limit), seed: float(seed) })[0],
  );
}

const isNormScale = (name: string, shape: readonly number[]) =>
  shape.length === 1 && /(norm\w*|LayerNorm|stage\d|input_proj_vision\.\d\.1|enc_output_norm)\.weight$/i.test(name);

/**
 * The initial sampling offsets of deformable attention (Zhu et al. 2020, https://arxiv.org/abs/2010.04159, appendix A.4): each
 * head looks into a direction of its own, and each of its points lies one step further.
 */
function offsetGrid(name: string, shape: readonly number[], config: Config): Float32Array {
  const isDecoder = name.includes('.decoder.');
  const heads = isDecoder ? config.decoder_attention_heads : config.encoder_attention_heads;
  const points = isDecoder ? config.decoder_n_points : config.encoder_n_points;
  const perHead = elementCount(shape) / heads;
  return Float32Array.from({ length: elementCount(shape) }, (_, index) => {
    const angle = (2 * Math.PI * Math.floor(index / perHead)) / heads;
    const [x, y] = [Math.cos(angle), Math.sin(angle)];
    const step = (Math.floor(index / 2) % points) + 1;
    return ((index % 2 === 0 ? x : y) / Math.max(Math.abs(x), Math.abs(y))) * step;
  });
}
