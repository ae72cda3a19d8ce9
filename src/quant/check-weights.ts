/** Weights that are not finite are found before they are quantized: afterwards they would be zeros. */
import { InputError } from '../base/errors.ts';
import { GraphBuilder } from '../onnx/builder.ts';
import { dimensionsOf, isExternal, tensorBytes } from '../onnx/tensor.ts';
import { DataType } from '../onnx/types.ts';
import { modelBytes } from '../onnx/write.ts';
import { Session } from '../runtime/session.ts';
import { floatData, tensor } from '../runtime/tensor.ts';
import type { Assignment } from './targets.ts';

/** @throws InputError that names the first weight with a NaN or an infinity */
export async function checkWeights(assignments: readonly Assignment[]): Promise<void> {
  const b = new GraphBuilder('weights');
  const x = b.input('x', DataType.FLOAT, ['n']);
  b.output('sum', b.reduceSum(b.mul(x, 0), [0], false)); // 0 unless something is not finite
  await using session = await Session.create(modelBytes(b.finish()));
  const weights = new Map(
    assignments.filter(({ treatment }) => treatment !== 'float').map(({ weight, path }) => [weight, path]),
  );
  for (const [weight, path] of weights) {
    if (isExternal(weight)) continue;
    const count = dimensionsOf(weight).reduce((product, extent) => product * extent, 1);
    using outputs = await session.run({ x: tensor(tensorBytes(weight), [count], DataType.FLOAT) });
    if (floatData(outputs.get('sum'))[0] !== 0)
      throw new InputError(`The weight ${weight.name} of ${path} has values that are not finite; is the file damaged?`);
  }
}
