/**
 * GPTQ (Frantar et al. 2022, https://arxiv.org/abs/2210.17323) rounds the rows of a weight one after the other. The rows that
 * are not rounded yet compensate for the error of each, as far as their inputs correlate.
 *
 *     q = round(w_i / s_i)    e = (w_i − q s_i) / P_ii    W ← W − P_:i e    P ← P − P_:i P_i: / P_ii
 *
 * P is the inverse of the damped second moments. Newton's iteration computes it with matrix products only. Both steps run as
 * graphs, for a block of rows at a time.
 */
import { GraphBuilder, type Value } from '../../onnx/builder.ts';
import { DataType } from '../../onnx/types.ts';
import { copyTensor, integers, type Tensor } from '../../runtime/tensor.ts';
import { highestOf, type Rounder } from './rounding.ts';
import { SharedSessions } from './shared-sessions.ts';

/** The number of rows that one run rounds; the state is passed from run to run. */
const ROWS = 32;

/** @param damping the fraction of the mean of H's diagonal that is added to the diagonal */
export function gptq(damping: number): Rounder {
  const sessions = new SharedSessions();
  // Layers with the same input have the same moments, and so the same inverse.
  let last: { readonly moments: Tensor; readonly inverse: Tensor } | undefined;
  const inverseOf = async (moments: Tensor) => {
    if (last?.moments !== moments) last = { moments, inverse: await invert(moments, damping, sessions) };
    return last.inverse;
  };
  return {
    async round({ weight, divisor }, { scheme, moments }) {
      const [inputs = 0] = weight.shape;
      let inverse = await inverseOf(moments);
      let state = weight;
      const rows = Math.min(ROWS, inputs);
      const highest = highestOf(scheme);
      const session = await sessions.get(`${rows} rows up to ${highest}`, () => blockModel(rows, highest));
      for (let start = 0; start < inputs; start += rows) {
        // If the last block would not be whole, it begins earlier: rows that are rounded already stay unchanged.
        const first = Math.min(start, inputs - rows);
        using outputs = await session.run({ weight: state, divisor, inverse, first: integers([first], [1]) });
        [state, inverse] = [copyTensor(outputs.get('next_weight')), copyTensor(outputs.get('next_inverse'))];
      }
      const steps = await sessions.get('whole steps', stepsModel);
      using outputs = await steps.run({ weight: state, divisor });
      return copyTensor(outputs.get('whole'));
    },
    [Symbol.asyncDispose]: () => sessions[Symbol.asyncDispose](),
  };
}

/**
 * The number of Newton's iterations after which an inverse is as exact as float32 allows. The iteration starts from I / ‖A‖,
 * where I − XA has no eigenvalue above 1 − 1 / κ with κ = ‖A‖ / λ, λ the smallest eigenvalue of A, and squares the
 * eigenvalues each time; (1 − 1 / κ)^(16 κ) is 1e-7. The mean of H's diagonal is 1 and the damping is added to it: the
 * eigenvalues of A are from the damping to inputs + damping, and its largest sum of a row is at most √inputs times the last.
 */
function iterationsFor(inputs: number, damping: number): number {
  const condition = (Math.sqrt(inputs) * (inputs + damping)) / damping;
  return Math.min(Math.ceil(Math.log2(16 * condition)), MOST_ITERATIONS);
}
/** Enough for a condition number of 10^12, which is beyond float32. */
const MOST_ITERATIONS = 44;

/** (H + damping · mean(diagonal) · I)⁻¹ */
async function invert(moments: Tensor, damping: number, sessions: SharedSessions): Promise<Tensor> {
  const iterations = iterationsFor(moments.shape[0] ?? 0, damping);
  const session = await sessions.get(`${iterations} iterations`, () => inverseModel(iterations, damping));
  using outputs = await session.run({ moments });
  return copyTensor(outputs.get('inverse'));
}

function inverseModel(iterations: number, damping: number) {
  const b = new GraphBuilder('inverse');
  const h = b.input('moments', DataType.FLOAT, ['inputs', 'inputs']);
  const inputs = b.squeeze(b.dimension(h, 0), [0]);
  const rows = b.range(b.integer(0), inputs, b.integer(1));
  const identity = b.cast(b.equal(b.unsqueeze(rows, [0]), b.unsqueeze(rows, [1])), DataType.FLOAT);
  const mean = b.div(b.reduceSum(b.mul(h, identity), [0, 1], false), b.cast(inputs, DataType.FLOAT));
  // H is divided by its mean, so that numbers are near 1; the damping gives an input that is always 0 a diagonal too.
  const scaled = b.add(b.div(h, b.max(mean, 1e-30)), b.mul(identity, damping));
  const norm = b.reduceMax(b.reduceSum(b.abs(scaled), [1], false), [0], false);
  let inverse: Value = b.div(identity, norm);
  for (let iteration = 0; iteration < iterations; iteration++)
    inverse = b.matmul(inverse, b.sub(b.mul(identity, 2), b.matmul(scaled, inverse)));
  b.output('inverse', inverse);
  return b.finish();
}

function blockModel(rows: number, highest: number) {
  const b = new GraphBuilder('gptq');
  let weight = b.input('weight', DataType.FLOAT, ['inputs', 'channels']);
  const divisor = b.input('divisor', DataType.FLOAT, ['inputs', 'channels']);
  let inverse = b.input('inverse', DataType.FLOAT, ['inputs', 'inputs']);
  const first = b.input('first', DataType.INT64, [1]);
  for (let offset = 0; offset < rows; offset++) {
    const row = b.add(first, b.integers(offset));
    const [w, s, p] = [weight, divisor, inverse].map((matrix) => b.gather(matrix, row, 0)) as [Value, Value, Value]; // of three
    const column = b.gather(inverse, row, 1);
    const own = b.gather(p, row, 1); // [1, 1]
    const rounded = b.mul(b.clip(b.round(b.div(w, s)), -highest, highest), s);
    // The column of a row that was rounded before is 0 in the inverse, and so is its error.
    const safe = b.max(own, 1e-20);
    weight = b.sub(weight, b.matmul(column, b.div(b.sub(w, rounded), safe)));
    inverse = b.sub(inverse, b.matmul(column, b.div(p, safe)));
  }
  b.output('next_weight', weight);
  b.output('next_inverse', inverse);
  return b.finish();
}

/** round(W / S), where each W is already a whole number of steps. */
function stepsModel() {
  const b = new GraphBuilder('steps');
  const [w, s] = ['weight', 'divisor'].map((name) => b.input(name, DataType.FLOAT, ['inputs', 'channels'])) as [
    Value,
    Value,
  ]; // of two
  b.output('whole', b.round(b.div(w, s)));
  return b.finish();
}
