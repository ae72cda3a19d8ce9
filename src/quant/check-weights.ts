/** Finds weights that are not finite before they are quantized: afterwards they would be zeros. */
import { InputError } from '../base/errors.ts';
import { GraphBuilder } from '../onnx/builder.ts';
import { dimensionsOf, isExternal, tensorBytes } from '../onnx/tensor.ts';
import { DataType } from '../onnx/types.ts';
import { modelBytes } from '../onnx/write.ts';
import { Session } from '../runtime/session.ts';
import { floatData, tensor } from '../runtime/tensor.ts';
import type { PlanEntry } from './plan-entry.ts';

/** @throws InputError if a weight has a NaN or an infinity; the message names the first one */
export async function checkWeights(entries: readonly Pick<PlanEntry, 'weight' | 'path'>[]): Promise<void> {
  const b = new GraphBuilder('weights');
  const x = b.input('x', DataType.FLOAT, ['n']);
  b.output('sum', b.reduceSum(b.mul(x, 0), [0], false)); // 0 unless something is not finite
  await using session = await Session.create(modelBytes(b.finish()));
  const weights = new Map(entries.flatMap(({ weight, path }) => (weight ? [[weight.weight, path] as const] : [])));
  for (const [weight, path] of weights) {
    if (isExternal(weight)) continue;
    const count = dimensionsOf(weight).reduce((product, dimension) => product * dimension, 1);
    using outputs = await session.run({ x: tensor(tensorBytes(weight), [count], DataType.FLOAT) });
    if (floatData(outputs.get('sum'))[0] !== 0)
      throw new InputError(`The weight ${weight.name} of ${path} has values that are not finite; is the file damaged?`);
  }
}
