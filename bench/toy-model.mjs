// A network for work whose results need not mean anything, with inputs for it.
import { mkdirSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { DataType, GraphBuilder, writeModel } from '../dist/onnx.mjs';
import { safetensors } from './small-checkpoint.mjs';

/** A network of a few small layers of the operators that dino8 knows. */
export function toyModel() {
  let seed = 1;
  const b = new GraphBuilder('toy');
  const noise = (shape) => {
    const count = shape.reduce((product, size) => product * size, 1);
    return b.constant(
      Float32Array.from({ length: count }, () => Math.sin(seed++ * 12.9898) / 2),
      shape,
    );
  };
  const linear = (name, x, from, to) => b.scope(name, () => b.add(b.matmul(x, noise([from, to])), noise([to])));
  const image = b.input('image', DataType.FLOAT, ['batch', 3, 8, 8]);
  const ids = b.input('ids', DataType.INT64, ['batch', 'tokens']);
  const patches = b.scope('patches', () => b.conv(image, noise([8, 3, 2, 2]), noise([8]), 2, 2, 0));
  const rows = b.transpose(b.reshape(patches, [0, 8, -1]), [0, 2, 1]);
  const words = b.scope('embedding', () => b.gather(noise([10, 8]), b.clip(ids, b.integer(0), b.integer(9)), 0));
  const keys = b.transpose(linear('key', rows, 8, 8), [0, 2, 1]);
  const weights = b.softmax(b.mul(b.matmul(linear('query', words, 8, 8), keys), 0.35));
  const sum = b.add(words, linear('output', b.matmul(weights, linear('value', rows, 8, 8)), 8, 8));
  const normal = b.layerNormalization(sum, noise([8]), noise([8]), 1e-5);
  const result = b.add(normal, linear('fc2', b.gelu(linear('fc1', normal, 8, 16)), 16, 8));
  b.output('result', result);
  b.output('best', b.topk(b.reduceMax(result, [-1], false), b.integers(1), -1).values);
  return b.finish();
}

/** Writes the network and two inputs of it into a folder. Returns their paths. */
export async function writeToy(folder) {
  const [model, inputs] = [join(folder, 'toy.onnx'), join(folder, 'inputs')];
  await writeModel(toyModel(), model);
  mkdirSync(inputs);
  const image = Float32Array.from({ length: 192 }, (_, at) => Math.sin(at));
  const ids = BigInt64Array.of(1n, 5n, 3n);
  const header = {
    image: { dtype: 'F32', shape: [1, 3, 8, 8], data_offsets: [0, 768] },
    ids: { dtype: 'I64', shape: [1, 3], data_offsets: [768, 792] },
  };
  for (const name of ['1', '2'])
    writeFileSync(
      join(inputs, `${name}.safetensors`),
      safetensors(
        header,
        [image, ids].map(({ buffer }) => Buffer.from(buffer)),
      ),
    );
  return { model, inputs };
}
