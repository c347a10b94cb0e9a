/** Every gradient rule, checked with values computed by hand and with numerical differences. */
import t from 'tap';
import { addGradients, guidedRules, plainRules } from '../../src/autodiff/index.js';
import { Graph, GraphError, type Value } from '../../src/onnx/index.js';
import { normal, randomStream } from '../../src/random/random.js';
import type { Device } from '../../src/runtime/index.js';
import { openTestDevice, runGraph } from '../support/run-graph.js';

let device: Device;
t.before(async () => {
  device = await openTestDevice();
});
t.after(() => device.close());

type Op = Graph['op'];

interface RuleCase {
  readonly rule: string;
  /** Shapes of the inputs a, b, c. */
  readonly shapes: readonly (readonly number[])[];
  readonly build: (op: Op, ...inputs: Value[]) => Value;
  /** How many inputs have a gradient, counted from the first; default all. */
  readonly varying?: number;
  /** Moves inputs to where the function is smooth. */
  readonly from?: (noise: number) => number;
}

const away = (noise: number): number => (noise >= 0 ? noise + 0.3 : noise - 0.3);
const positive = (noise: number): number => Math.abs(noise) + 0.5;
const kernel = [3, 2, 3, 3];

const cases: readonly RuleCase[] = [
  {
    rule: 'Add',
    shapes: [
      [2, 3],
      [2, 3],
    ],
    build: (op, a, b) => op.Add(a, b),
  },
  { rule: 'Add, broadcast', shapes: [[2, 3], [3]], build: (op, a, b) => op.Add(a, b) },
  {
    rule: 'Sub, broadcast',
    shapes: [
      [2, 1],
      [2, 3],
    ],
    build: (op, a, b) => op.Sub(a, b),
  },
  { rule: 'Mul, broadcast', shapes: [[2, 3, 1], [4]], build: (op, a, b) => op.Mul(a, b) },
  { rule: 'Mul, the same value twice', shapes: [[5]], build: (op, a) => op.Mul(a, a) },
  { rule: 'Div', shapes: [[2, 3], [3]], build: (op, a, b) => op.Div(a, b), from: away },
  { rule: 'Max', shapes: [[6], [6]], build: (op, a, b) => op.Max(a, b) },
  { rule: 'Min', shapes: [[6], [6]], build: (op, a, b) => op.Min(a, b) },
  { rule: 'Neg', shapes: [[4]], build: (op, a) => op.Neg(a) },
  { rule: 'Abs', shapes: [[6]], build: (op, a) => op.Abs(a), from: away },
  { rule: 'Exp', shapes: [[6]], build: (op, a) => op.Exp(a) },
  { rule: 'Log', shapes: [[6]], build: (op, a) => op.Log(a), from: positive },
  { rule: 'Sqrt', shapes: [[6]], build: (op, a) => op.Sqrt(a), from: positive },
  { rule: 'Reciprocal', shapes: [[6]], build: (op, a) => op.Reciprocal(a), from: away },
  { rule: 'Relu', shapes: [[8]], build: (op, a) => op.Relu(a), from: away },
  { rule: 'Erf', shapes: [[6]], build: (op, a) => op.Erf(a) },
  { rule: 'Softmax', shapes: [[2, 4, 3]], build: (op, a) => op.Softmax(a, 1) },
  {
    rule: 'Where',
    shapes: [[2, 6], [6], [1]],
    varying: 2,
    build: (op, a, b, c) => op.Where(op.Greater(op.Mul(b, b), op.Mul(c, c)), a, b),
    from: away,
  },
  { rule: 'Sigmoid', shapes: [[6]], build: (op, a) => op.Sigmoid(a) },
  { rule: 'Tanh', shapes: [[6]], build: (op, a) => op.Tanh(a) },
  {
    rule: 'HardSigmoid',
    shapes: [[12]],
    build: (op, a) => op.HardSigmoid(a, { alpha: 0.2, beta: 0.5 }),
    // On both sides of the bends at -2.5 and 2.5, but not close to them.
    from: (noise) => (Math.abs(noise) > 1 ? noise + 2 * Math.sign(noise) : noise),
  },
  {
    rule: 'Clip',
    shapes: [[12]],
    build: (op, a) => op.Clip(a, -0.4, 0.7),
    // On both sides of the bounds, but not close to them.
    from: (noise) => (Math.abs(noise) > 0.5 ? 2 * noise : noise / 4),
  },
  { rule: 'Identity', shapes: [[4]], build: (op, a) => op.Identity(a) },
  { rule: 'Cast', shapes: [[4]], build: (op, a) => op.Cast(a, 'float32') },
  { rule: 'Reshape', shapes: [[2, 6]], build: (op, a) => op.Reshape(a, [3, -1]) },
  { rule: 'Squeeze', shapes: [[2, 1, 3]], build: (op, a) => op.Squeeze(a, [1]) },
  { rule: 'Unsqueeze', shapes: [[2, 3]], build: (op, a) => op.Unsqueeze(a, [1]) },
  {
    rule: 'Expand',
    shapes: [
      [3, 1],
      [3, 4],
    ],
    build: (op, a, b) => op.Mul(op.ExpandLike(a, b), b),
  },
  { rule: 'Transpose', shapes: [[2, 3, 4]], build: (op, a) => op.Transpose(a, [2, 0, 1]) },
  { rule: 'Slice', shapes: [[4, 5]], build: (op, a) => op.Slice(a, [1, -3], [3, 5], [0, 1]) },
  { rule: 'Pad', shapes: [[2, 3]], build: (op, a) => op.Pad(a, [1, 0, 0, 2]) },
  {
    rule: 'Concat',
    shapes: [
      [2, 2],
      [2, 3],
    ],
    build: (op, a, b) => op.Concat([a, b, a], 1),
  },
  { rule: 'ReduceSum', shapes: [[2, 3, 4]], build: (op, a) => op.ReduceSum(a, [0, 2]) },
  {
    rule: 'ReduceSum, axes dropped',
    shapes: [[2, 3]],
    build: (op, a) => op.ReduceSum(a, [1], { keepdims: false }),
  },
  {
    rule: 'ReduceMax',
    shapes: [[2, 3, 4]],
    build: (op, a) => op.ReduceMax(a, [1, 2]),
    from: (noise) => 4 * noise,
  },
  {
    rule: 'ReduceMax, axes dropped',
    shapes: [[2, 3]],
    build: (op, a) => op.ReduceMax(a, [1], { keepdims: false }),
  },
  { rule: 'Resize', shapes: [[2, 2, 2, 3]], build: (op, a) => op.Resize(a, [2, 3]) },
  { rule: 'ReduceMean', shapes: [[2, 3, 4]], build: (op, a) => op.ReduceMean(a, [1], { keepdims: false }) },
  { rule: 'ReduceSumSquare', shapes: [[2, 3]], build: (op, a) => op.ReduceSumSquare(a, [1]) },
  {
    rule: 'MatMul',
    shapes: [
      [2, 3, 4],
      [4, 2],
    ],
    build: (op, a, b) => op.MatMul(a, b),
  },
  {
    rule: 'Conv, padded',
    shapes: [[2, 2, 5, 5], kernel, [3]],
    build: (op, a, b, c) => op.Conv(a, b, c, { pads: [1, 1, 1, 1] }),
  },
  {
    rule: 'Conv, strided and dilated',
    shapes: [[1, 2, 8, 7], kernel],
    build: (op, a, b) => op.Conv(a, b, undefined, { strides: [2, 2], dilations: [2, 1], pads: [1, 0, 2, 1] }),
  },
  {
    rule: 'Conv, depthwise',
    shapes: [
      [2, 3, 5, 5],
      [3, 1, 3, 3],
    ],
    varying: 1,
    build: (op, a, b) => op.Conv(a, b, undefined, { group: 3, pads: [1, 1, 1, 1] }),
  },
  {
    rule: 'Conv, in groups and strided',
    shapes: [
      [1, 4, 7, 7],
      [6, 2, 3, 3],
    ],
    varying: 1,
    build: (op, a, b) => op.Conv(a, b, undefined, { group: 2, strides: [2, 2], pads: [1, 1, 1, 1] }),
  },
  {
    rule: 'MaxPool',
    shapes: [[1, 2, 4, 6]],
    build: (op, a) => op.MaxPool(a, { kernel_shape: [2, 2], strides: [2, 2] }),
  },
  {
    rule: 'MaxPool, overlapping',
    shapes: [[2, 1, 5, 5]],
    build: (op, a) => op.MaxPool(a, { kernel_shape: [3, 3], strides: [2, 2], pads: [1, 1, 1, 1] }),
  },
  {
    rule: 'AveragePool',
    shapes: [[2, 2, 4, 6]],
    build: (op, a) => op.AveragePool(a, { kernel_shape: [2, 3], strides: [2, 3] }),
  },
  {
    rule: 'AveragePool, overlapping, which leaves the last row and column',
    shapes: [[1, 2, 6, 4]],
    build: (op, a) => op.AveragePool(a, { kernel_shape: [3, 3], strides: [2, 1] }),
  },
];

for (const {
  rule,
  shapes,
  build,
  varying = shapes.length,
  from = (noise: number): number => noise,
} of cases) {
  t.test(`${rule}: the gradient of each input agrees with centered differences`, async (t) => {
    const names = shapes.map((_, index) => 'abc'[index] as string);
    const random = randomStream(1, rule);
    const draw = (dims: readonly number[]) =>
      Array.from({ length: dims.reduce((product, size) => product * size, 1) }, () => from(normal(random)));
    const data = shapes.map(draw);
    const inputs = (values: readonly (readonly number[])[]) =>
      Object.fromEntries(
        shapes.map((dims, index) => [names[index], { dims, data: values[index] as number[] }]),
      );
    // Fixed random weights make the sum sensitive to every output entry.
    const objective = (graph: Graph, values: Record<string, Value>): Value => {
      const y = build(graph.op, ...names.map((name) => values[name] as Value));
      const count = y.shape.reduce<number>((product, size) => product * Number(size), 1);
      const weights = randomStream(2, rule);
      const shape = y.shape.map(Number);
      return graph.op.Mul(
        y,
        graph.constant({
          type: 'float32',
          shape,
          data: Float32Array.from({ length: count }, () => 1 + weights()),
        }),
      );
    };
    const { grads } = {
      grads: await runGraph(device, inputs(data), (graph, values) => {
        const wanted = names.slice(0, varying);
        const result = addGradients(
          graph,
          objective(graph, values),
          wanted.map((name) => values[name] as Value),
        );
        return Object.fromEntries(wanted.map((name, index) => [`${name}_grad`, result[index] as Value]));
      }),
    };
    const sumAt = async (values: readonly (readonly number[])[]): Promise<number> => {
      const { y } = await runGraph(device, inputs(values), (graph, named) => ({
        y: objective(graph, named),
      }));
      return (y as Float32Array).reduce((sum, entry) => sum + entry, 0);
    };
    const step = 1e-2;
    for (const [input, name] of names.slice(0, varying).entries()) {
      // Moves one input in a random direction; the others stay fixed.
      const direction = (data[input] as number[]).map(() => normal(random));
      const moved = (sign: number) =>
        data.map((entries, index) =>
          index === input
            ? entries.map((entry, at) => entry + sign * step * (direction[at] as number))
            : entries,
        );
      const numerical = ((await sumAt(moved(1))) - (await sumAt(moved(-1)))) / (2 * step);
      const exact = direction.reduce(
        (sum, part, at) => sum + part * ((grads[`${name}_grad`] as Float32Array)[at] as number),
        0,
      );
      const scale = Math.max(1, Math.abs(numerical));
      t.ok(
        Math.abs(numerical - exact) / scale < 2e-2,
        `${name}: ${exact} from the rule, ${numerical} from differences`,
      );
    }
  });
}

t.test('every rule of the registry has a test', async (t) => {
  const tested = new Set(cases.map(({ rule }) => rule.split(',')[0]));
  for (const [operator, answer] of plainRules) {
    if (answer.kind === 'rule') t.ok(tested.has(operator), operator);
  }
});

async function gradientOf(
  data: readonly number[],
  dims: readonly number[],
  build: (op: Op, x: Value) => Value,
  guided = false,
) {
  const { grad } = await runGraph(device, { x: { dims, data } }, (graph, { x }) => {
    const [value] = addGradients(graph, build(graph.op, x as Value), [x as Value], {
      rules: guided ? guidedRules : plainRules,
    });
    return { grad: value as Value };
  });
  return [...(grad as Float32Array)];
}

t.test('no gradient passes a ReLU at zero', async (t) => {
  t.strictSame(await gradientOf([-1, 0, 2], [3], (op, x) => op.Relu(x)), [0, 0, 1]);
});

t.test('no gradient passes a ReLU6 at its bounds', async (t) => {
  t.strictSame(await gradientOf([-1, 0, 2, 6, 7], [5], (op, x) => op.Clip(x, 0, 6)), [0, 0, 1, 0, 0]);
});

t.test('guided back-propagation treats a ReLU6 as a ReLU, and no other bounds', async (t) => {
  const clipped = (low: number) => (op: Op, x: Value) => op.Neg(op.Clip(x, low, 6));
  t.strictSame(await gradientOf([2, 7], [2], clipped(0), true), [0, 0]);
  t.strictSame(await gradientOf([2, 7], [2], clipped(-6), true), [-1, -0]);
});

t.test('guided back-propagation passes only positive gradients', async (t) => {
  const minus = (op: Op, x: Value): Value =>
    op.Sub(op.Relu(op.Reshape(x, [1, 3])), op.Relu(op.Reshape(x, [3, 1])));
  t.strictSame(await gradientOf([1, 2, -3], [3], minus, true), [3, 3, 0], 'the subtracted part is dropped');
  t.strictSame(
    await gradientOf([1, 2, -3], [3], minus, false),
    [0, 0, 0],
    'without guidance both parts cancel',
  );
});

t.test('max pooling sends the gradient to the first of equal maxima', async (t) => {
  const pool = (op: Op, x: Value): Value => op.MaxPool(x, { kernel_shape: [2, 2], strides: [2, 2] });
  t.strictSame(await gradientOf([5, 5, 5, 5], [1, 1, 2, 2], pool), [1, 0, 0, 0]);
  t.strictSame(await gradientOf([1, 7, 7, 2], [1, 1, 2, 2], pool), [0, 1, 0, 0]);
});

t.test('gradients of overlapping windows add up', async (t) => {
  const pool = (op: Op, x: Value): Value => op.MaxPool(x, { kernel_shape: [1, 2], strides: [1, 1] });
  t.strictSame(await gradientOf([1, 9, 2], [1, 1, 1, 3], pool), [0, 2, 0]);
});

t.test('a maximum of two equal values splits the gradient', async (t) => {
  const { a, b } = await runGraph(
    device,
    { x: { dims: [2], data: [3, 1] }, y: { dims: [2], data: [3, 2] } },
    (graph, { x, y }) => {
      const [a, b] = addGradients(graph, graph.op.Max(x as Value, y as Value), [x as Value, y as Value]);
      return { a: a as Value, b: b as Value };
    },
  );
  t.strictSame([...(a as Float32Array)], [0.5, 0]);
  t.strictSame([...(b as Float32Array)], [0.5, 1]);
});

t.test('equal largest entries share the gradient of their maximum', async (t) => {
  const largest = (op: Op, x: Value): Value => op.ReduceMax(x, [0]);
  t.strictSame(await gradientOf([3, 7, 7, 1], [4], largest), [0, 0.5, 0.5, 0]);
});

t.test('kernel and image gradients of a convolution match values computed by hand', async (t) => {
  const { image, weight } = await runGraph(
    device,
    { x: { dims: [1, 1, 2, 3], data: [1, 2, 3, 4, 5, 6] }, w: { dims: [1, 1, 2, 2], data: [1, -1, 2, 0.5] } },
    (graph, { x, w }) => {
      const y = graph.op.Conv(x as Value, w as Value);
      const [image, weight] = addGradients(graph, y, [x as Value, w as Value]);
      return { image: image as Value, weight: weight as Value };
    },
  );
  t.strictSame([...(image as Float32Array)], [1, 0, -1, 2, 2.5, 0.5]);
  t.strictSame([...(weight as Float32Array)], [3, 5, 9, 11]);
});

t.test('if one target depends on another, each gradient is total, in any order', async (t) => {
  // y = sum(h^2), h = 3 x, so dy/dh = 2 h and dy/dx = 18 x.
  for (const order of [
    ['x', 'h'],
    ['h', 'x'],
  ] as const) {
    const grads = await runGraph(device, { x: { dims: [2], data: [1, -2] } }, (graph, { x }) => {
      const h = graph.op.Mul(x as Value, graph.scalar(3));
      const y = graph.op.ReduceSumSquare(h, [0], { keepdims: false });
      const targets: Record<string, Value> = { x: x as Value, h };
      const found = addGradients(
        graph,
        y,
        order.map((name) => targets[name] as Value),
      );
      return Object.fromEntries(order.map((name, at) => [`of ${name}`, found[at] as Value]));
    });
    t.strictSame([...(grads['of h'] as Float32Array)], [6, -12], order.join());
    t.strictSame([...(grads['of x'] as Float32Array)], [18, -36], order.join());
  }
});

t.test('a gradient includes all paths, both directly and through another target', async (t) => {
  // y = sum(x h), h = x^2: dy/dh = x, dy/dx = h + x dh/dx = 3 x^2.
  const { ofX, ofH } = await runGraph(device, { x: { dims: [3], data: [1, 2, -3] } }, (graph, inputs) => {
    const target = inputs.x as Value;
    const square = graph.op.Mul(target, target);
    const y = graph.op.ReduceSum(graph.op.Mul(target, square), [0], { keepdims: false });
    const [toX, toH] = addGradients(graph, y, [target, square]);
    return { ofX: toX as Value, ofH: toH as Value };
  });
  t.strictSame([...(ofX as Float32Array)], [3, 12, 27]);
  t.strictSame([...(ofH as Float32Array)], [1, 2, -3]);
});

t.test('operators upstream of all targets need no gradient rule', async (t) => {
  const graph = new Graph('upstream');
  const x = graph.input('x', 'float32', [3]);
  const [h] = graph.node('Celu', [x], {}, [{ type: 'float32', shape: [3] }]).outputs as [Value];
  const [grad] = addGradients(graph, graph.op.Mul(h, h), [h]);
  t.strictSame(grad?.shape, [3]);
  t.throws(() => addGradients(graph, graph.op.Abs(h), [h, x]), { message: /Celu has no gradient rule/ });
});

t.test('a value behind a piecewise constant operator does not depend on its input', async (t) => {
  const graph = new Graph('flat');
  const x = graph.input('x', 'float32', [3]);
  const y = graph.op.Mul(graph.op.Sign(x), graph.scalar(2));
  t.throws(() => addGradients(graph, y, [x]), { name: 'GraphError', message: /does not depend on x/ });
});

t.test('the error for an operator without a rule names it', async (t) => {
  const graph = new Graph('rule-less');
  const x = graph.input('x', 'float32', [3]);
  const [y] = graph.node('Celu', [x], {}, [{ type: 'float32', shape: [3] }]).outputs as [Value];
  t.throws(() => addGradients(graph, y, [x]), {
    message: /Celu node Celu_1: operator Celu has no gradient rule/,
  });
});

t.test('the error for an operator that must not be differentiated says why', async (t) => {
  const graph = new Graph('refused');
  const x = graph.input('x', 'float32', [1, 1, 4, 4]);
  const w = graph.input('w', 'float32', [1, 1, 2, 2]);
  const y = graph.op.ConvTranspose(x, w);
  t.throws(() => addGradients(graph, y, [x]), { message: /ConvTranspose.*must not be differentiated/ });
});

t.test('integers have no gradient', async (t) => {
  const graph = new Graph('integers');
  const x = graph.input('x', 'uint8', [3]);
  const y = graph.op.Cast(x, 'float32');
  t.throws(() => addGradients(graph, y, [x]), GraphError);
});

t.test('the error for the kernel gradient of a grouped convolution names the groups', async (t) => {
  const graph = new Graph('groups');
  const x = graph.input('x', 'float32', [1, 2, 4, 4]);
  const w = graph.input('w', 'float32', [2, 1, 3, 3]);
  const y = graph.op.Conv(x, w, undefined, { group: 2 });
  t.throws(() => addGradients(graph, y, [w]), { message: /no kernel gradient for 2 groups/ });
});

t.test('only the requested gradients are built', async (t) => {
  const graph = new Graph('needed');
  const x = graph.input('x', 'float32', [1, 2, 4, 4]);
  const w = graph.input('w', 'float32', [2, 2, 3, 3]);
  const y = graph.op.Conv(x, w, undefined, { pads: [1, 1, 1, 1] });
  addGradients(graph, y, [x]);
  t.notOk(
    graph.nodes.some(({ operator }) => operator === 'MatMul'),
    'no kernel gradient if only the image gradient is requested',
  );
  t.equal(graph.nodes.filter(({ operator }) => operator === 'Conv').length, 2);
});

t.test('gradients are named after their value', async (t) => {
  const graph = new Graph('names');
  const x = graph.input('x', 'float32', [2]);
  const [grad] = addGradients(graph, graph.op.Abs(x), [x]);
  t.equal(grad?.name, 'x_grad');
});
