/** Converts checkpoints to 32-bit floats: training changes weights in steps that half precision cannot represent. */
import { GraphBuilder } from '../../onnx/builder.ts';
import { bytesOf } from '../../onnx/tensor.ts';
import { DataType } from '../../onnx/types.ts';
import { modelBytes } from '../../onnx/write.ts';
import { Session } from '../../runtime/session.ts';
import { copyTensor, tensorOf } from '../../runtime/tensor.ts';
import type { Checkpoint } from './checkpoint.ts';

const OTHER_FLOATS: readonly DataType[] = [DataType.FLOAT16, DataType.BFLOAT16, DataType.DOUBLE];

/** Returns the checkpoint with every floating-point tensor in 32 bits. Tensors that need no conversion are shared. */
export async function withFloatTensors(checkpoint: Checkpoint): Promise<Checkpoint> {
  const result = new Map(checkpoint);
  for (const type of OTHER_FLOATS) {
    const found = [...checkpoint].filter(([, tensor]) => tensor.type === type);
    if (found.length === 0) continue;
    const b = new GraphBuilder('conversion');
    b.output('y', b.cast(b.input('x', type, ['size']), DataType.FLOAT));
    await using session = await Session.create(modelBytes(b.finish()), {}, 'the conversion to float');
    for (const [name, stored] of found) {
      const { data } = tensorOf(stored);
      using outputs = await session.run({ x: { type, shape: [data.length], data } });
      const converted = copyTensor(outputs.get('y'));
      result.set(name, { type: DataType.FLOAT, shape: stored.shape, bytes: bytesOf(converted.data) });
    }
  }
  return result;
}
