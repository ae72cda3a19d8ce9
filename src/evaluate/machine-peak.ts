/** The multiply-adds that this machine does in a second, measured by large matrix products. */
import { GraphBuilder } from '../onnx/builder.ts';
import type { Model } from '../onnx/read.ts';
import { makeTensor } from '../onnx/tensor.ts';
import { DataType } from '../onnx/types.ts';
import { modelBytes } from '../onnx/write.ts';
import { quantizeModel } from '../quant/quantize.ts';
import { parseRecipe } from '../quant/recipe.ts';
import { kernelOptions } from '../runtime/kernels.ts';
import { Session } from '../runtime/session.ts';
import { floats } from '../runtime/tensor.ts';

/** Multiply-adds a second. */
export interface MachinePeak {
  /** Of 32-bit floats. */
  readonly float: number;
  /** Of 8-bit integers. */
  readonly integer: number;
}

/** The sides of the product: its operands fit into the caches, and all threads have enough to do. */
const ROWS = 1024;
const DEPTH = 1024;
const COLUMNS = 1024;
const WARM_UP = 3;
const RUNS = 12;

const INTEGER = "description: in integers\nrules: [{ match: '**', operators: [MatMul], treatment: dynamic }]";

/**
 * Measures the peak by the fastest of some products of 1024x1024 matrices, in floats and in integers, by ONNX Runtime with
 * dino8's kernels. The product in integers includes the rounding of its left side, a few hundredths of its time.
 */
export async function measurePeak(): Promise<MachinePeak> {
  const float = productModel();
  const { model: integer } = await quantizeModel(float, parseRecipe(INTEGER, 'the product'));
  return { float: await fastest(float), integer: await fastest(integer) };
}

/** Numbers between −1 and 1 without a pattern that a processor could use. */
const values = (count: number) => Float32Array.from({ length: count }, (_, at) => Math.sin(at * at));

function productModel(): Model {
  const b = new GraphBuilder('product');
  const x = b.input('x', DataType.FLOAT, [ROWS, DEPTH]);
  const weight = b.initializer(makeTensor('weight', [DEPTH, COLUMNS], values(DEPTH * COLUMNS)));
  b.output('y', b.matmul(x, weight), [ROWS, COLUMNS]);
  return b.finish();
}

/** The multiply-adds a second of the fastest run. */
async function fastest(model: Model): Promise<number> {
  await using session = await Session.create(modelBytes(model), kernelOptions());
  const feeds = { x: floats(values(ROWS * DEPTH), [ROWS, DEPTH]) };
  let least = Number.POSITIVE_INFINITY;
  for (let run = 0; run < WARM_UP + RUNS; run++) {
    const start = performance.now();
    (await session.run(feeds)).dispose();
    if (run >= WARM_UP) least = Math.min(least, performance.now() - start);
  }
  return (ROWS * DEPTH * COLUMNS * 1000) / least;
}
