// The multiply-adds of bytes a second that ONNX Runtime's own MatMulInteger does in large products of u8 by s8, which is the peak
// that a user of ONNX Runtime can measure without dino8.
import { DataType, GraphBuilder, makeTensor } from '../dist/onnx.mjs';
import { Session, tensor } from '../dist/runtime.mjs';
import { seededRandom } from './commands.mjs';

/** [rows, depth, columns] of the products: squares, and the first layer of the encoder's feed-forward. */
const SIZES = [
  [1024, 1024, 1024],
  [2048, 2048, 2048],
  [4096, 4096, 4096],
  [22223, 256, 2048],
];
const RUNS = 8;

/** Returns the multiply-adds a second of the fastest run of all sizes, by so many threads. */
export async function runtimeProduct(threads) {
  let fastest = 0;
  for (const [rows, depth, columns] of SIZES) {
    const random = seededRandom(1);
    const b = new GraphBuilder('product');
    const x = b.input('x', DataType.UINT8, [rows, depth]);
    const weight = Int8Array.from({ length: depth * columns }, () => Math.floor(random() * 255) - 127);
    b.output('y', b.one('MatMulInteger', [x, b.initializer(makeTensor('weight', [depth, columns], weight))]), [
      rows,
      columns,
    ]);
    const session = await Session.create(b.finish(), { threads });
    const data = Uint8Array.from({ length: rows * depth }, () => Math.floor(random() * 256));
    const feeds = { x: tensor(data, [rows, depth]) };
    for (let run = 0; run < RUNS; run++) {
      const start = performance.now();
      (await session.run(feeds)).dispose();
      fastest = Math.max(fastest, (rows * depth * columns * 1000) / (performance.now() - start));
    }
    await session.close();
  }
  return fastest;
}
