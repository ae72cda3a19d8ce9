// Teaches the differentiation of graphs an operator that it does not know, and checks the gradient by differences of the loss.
//
// The operator is HardSwish: y = x · max(0, min(1, x / 6 + 1 / 2)). Its derivative is 0 up to -3, 1 from 3 on, and x / 3 + 1 / 2
// between them.
import { differentiate, gradientName, rule } from 'dino8/autodiff';
import { DataType, GraphBuilder, modelBytes } from 'dino8/onnx';
import { floatData, floats, Session } from 'dino8/runtime';

// A rule gets the input x and the gradient of the output, and returns the gradient of each input.
const hardSwish = rule(({ b, x, gradient }) => {
  const between = b.add(b.mul(x, 1 / 3), 0.5);
  const derivative = b.where(b.greater(x, 3), 1, b.where(b.greater(x, -3), between, 0));
  return [b.mul(gradient, derivative)];
});

// loss = sum(HardSwish(x)²)
const b = new GraphBuilder('example');
const x = b.input('x', DataType.FLOAT, [4]);
const [y] = b.call('', 'HardSwish', [x]);
b.output('loss', b.reduceSum(b.mul(y, y), [0], false));

const gradients = differentiate(b.finish(), { loss: 'loss', parameters: ['x'], rules: { '::HardSwish': hardSwish } });

const session = await Session.create(modelBytes(gradients));
const evaluate = async (values) => {
  const outputs = await session.run({ x: floats(Float32Array.from(values), [4]) });
  const [loss] = floatData(outputs.get('loss'));
  const gradient = Array.from(floatData(outputs.get(gradientName('x'))));
  outputs.dispose();
  return { loss, gradient };
};

const at = [-4, -1, 0.75, 4];
const { gradient } = await evaluate(at);
for (const [index, derivative] of gradient.entries()) {
  const step = 1e-2;
  const lossAt = async (by) => (await evaluate(at.map((value, place) => (place === index ? value + by : value)))).loss;
  const difference = ((await lossAt(step)) - (await lossAt(-step))) / (2 * step);
  console.log(
    `x[${index}] = ${at[index]}: derivative ${derivative.toFixed(3)}, by differences ${difference.toFixed(3)}`,
  );
  if (Math.abs(derivative - difference) > 1e-2) throw new Error('The rule is wrong.');
}
await session.close();
