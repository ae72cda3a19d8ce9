/**
 * AdaRound (Nagel et al. 2020, https://arxiv.org/abs/2004.10568) learns whether each weight is rounded up or down. The
 * choice is a rectified sigmoid h(v) in 0 … 1, which the penalty 1 − |2h − 1|^β drives to its ends while β falls; the loss
 * is tr(Eᵀ H E), whose gradient 2 H E needs no data but the second moments H. One run of a graph makes several steps of Adam.
 */
import { GraphBuilder, type Value } from '../../onnx/builder.ts';
import { DataType } from '../../onnx/types.ts';
import { copyTensor, floats, type Tensor } from '../../runtime/tensor.ts';
import { highestOf, type Rounder } from './rounding.ts';
import { SharedSessions } from './shared-sessions.ts';

/** The number of steps in one run. */
const STEPS = 10;
const RATE = 0.02;
/** The stretch of the sigmoid (section 3 of the paper). */
const [LOW, HIGH] = [-0.1, 1.1];
/** β at the start and at the end, and the fraction of steps without the penalty. */
const [SOFT, HARD, WARM_UP] = [20, 2, 0.2];
const WEIGHT = 10;

/** @param iterations the number of steps of Adam for each weight */
export function adaround(iterations: number): Rounder {
  const sessions = new SharedSessions();
  const round: Rounder['round'] = async ({ weight, divisor }, { scheme, moments }) => {
    const highest = highestOf(scheme);
    const shape = weight.shape;
    const start = await sessions.get('start', startModel);
    const session = await sessions.get(`steps up to ${highest}`, () => stepModel(highest));
    const end = await sessions.get(`end up to ${highest}`, () => endModel(highest));
    using first = await start.run({ weight, divisor, moments });
    const scale = copyTensor(first.get('scale'));
    let choice = copyTensor(first.get('choice'));
    const zeros = () => floats(new Float32Array(choice.data.length), shape);
    let [mean, square] = [zeros(), zeros()];
    for (let step = 0; step < iterations; step += STEPS) {
      const fraction = Math.max((step / iterations - WARM_UP) / (1 - WARM_UP), 0);
      const scalars = {
        beta: scalar(HARD + 0.5 * (SOFT - HARD) * (1 + Math.cos(fraction * Math.PI))),
        force: scalar(step / iterations < WARM_UP ? 0 : WEIGHT),
      };
      using outputs = await session.run({ weight, divisor, moments, scale, choice, mean, square, ...scalars });
      [choice, mean, square] = ['choice', 'mean', 'square'].map((name) => copyTensor(outputs.get(`next_${name}`))) as [
        Tensor,
        Tensor,
        Tensor,
      ]; // of three
    }
    using outputs = await end.run({ weight, divisor, moments, choice });
    return copyTensor(outputs.get('whole'));
  };
  return { round, [Symbol.asyncDispose]: () => sessions[Symbol.asyncDispose]() };
}

const scalar = (value: number) => floats(Float32Array.of(value), []);

function inputsOf(b: GraphBuilder) {
  const matrix = (name: string) => b.input(name, DataType.FLOAT, ['inputs', 'channels']);
  return {
    matrix,
    weight: matrix('weight'),
    divisor: matrix('divisor'),
    moments: b.input('moments', DataType.FLOAT, ['inputs', 'inputs']),
  };
}

/** Σ over the inputs of E · (H E): the squared error of each channel's results, [1, channels]. */
const lossOf = (b: GraphBuilder, error: Value, moments: Value) =>
  b.reduceSum(b.mul(error, b.matmul(moments, error)), [0]);

/** The choice that leaves each weight unchanged, and the loss of rounding to the nearest, which is the unit of the loss. */
function startModel() {
  const b = new GraphBuilder('adaround_start');
  const { weight, divisor, moments } = inputsOf(b);
  const steps = b.div(weight, divisor);
  const part = b.sub(steps, b.floor(steps));
  const p = b.clip(b.div(b.sub(part, LOW), HIGH - LOW), 1e-4, 1 - 1e-4);
  b.output('choice', b.log(b.div(p, b.sub(1, p))));
  const nearest = b.sub(b.mul(b.round(steps), divisor), weight);
  b.output('scale', b.max(lossOf(b, nearest, moments), 1e-20));
  return b.finish();
}

function stepModel(highest: number) {
  const b = new GraphBuilder('adaround_step');
  const { matrix, weight, divisor, moments } = inputsOf(b);
  const scale = b.input('scale', DataType.FLOAT, [1, 'channels']);
  let [choice, mean, square] = ['choice', 'mean', 'square'].map(matrix) as [Value, Value, Value]; // of three
  const [beta, force] = ['beta', 'force'].map((name) => b.input(name, DataType.FLOAT, [])) as [Value, Value]; // of two
  const floor = b.floor(b.div(weight, divisor));
  // The loss is divided by that of rounding to the nearest, and by the number of weights in a channel.
  const inputs = b.cast(b.dimension(weight, 0), DataType.FLOAT);
  for (let step = 0; step < STEPS; step++) {
    const sigmoid = b.sigmoid(choice);
    const stretched = b.add(b.mul(sigmoid, HIGH - LOW), LOW);
    const h = b.clip(stretched, 0, 1);
    const error = b.sub(b.mul(b.clip(b.add(floor, h), -highest, highest), divisor), weight);
    const ofError = b.div(b.mul(b.mul(b.matmul(moments, error), divisor), b.mul(inputs, 2)), scale);
    const centred = b.sub(b.mul(h, 2), 1);
    const magnitude = b.max(b.abs(centred), 1e-6);
    const towardsEnds = b.mul(b.mul(beta, 2), b.mul(b.pow(magnitude, b.sub(beta, 1)), b.div(centred, magnitude)));
    const ofChoice = b.sub(ofError, b.mul(force, towardsEnds));
    const slope = b.mul(b.mul(sigmoid, b.sub(1, sigmoid)), HIGH - LOW);
    const inside = b.cast(b.and(b.greater(stretched, 0), b.less(stretched, 1)), DataType.FLOAT);
    const gradient = b.mul(b.mul(ofChoice, slope), inside);
    mean = b.add(b.mul(mean, 0.9), b.mul(gradient, 0.1));
    square = b.add(b.mul(square, 0.99), b.mul(b.mul(gradient, gradient), 0.01));
    choice = b.sub(choice, b.mul(b.div(mean, b.add(b.sqrt(square), 1e-12)), RATE));
  }
  for (const [name, value] of Object.entries({ choice, mean, square })) b.output(`next_${name}`, value);
  return b.finish();
}

/** For each channel the learned integers, or the nearest ones if their loss is smaller. */
function endModel(highest: number) {
  const b = new GraphBuilder('adaround_end');
  const { matrix, weight, divisor, moments } = inputsOf(b);
  const choice = matrix('choice');
  const steps = b.div(weight, divisor);
  const up = b.cast(b.greaterOrEqual(choice, 0), DataType.FLOAT);
  const learned = b.clip(b.add(b.floor(steps), up), -highest, highest);
  const nearest = b.clip(b.round(steps), -highest, highest);
  const lossOfSteps = (whole: Value) => lossOf(b, b.sub(b.mul(whole, divisor), weight), moments);
  b.output('whole', b.where(b.less(lossOfSteps(learned), lossOfSteps(nearest)), learned, nearest));
  return b.finish();
}
