/** Convolutions by Winograd's algorithm have the same values and gradients as the convolutions they replace. */
import t from 'tap';
import { addGradients } from '../../src/autodiff/index.js';
import { fasterConvolutions } from '../../src/networks/index.js';
import { type ConvAttributes, Graph, type Value } from '../../src/onnx/index.js';
import { openTestDevice, runGraph } from '../support/run-graph.js';

const waves = (length: number, pace: number): Float32Array =>
  Float32Array.from({ length }, (_, at) => Math.sin(1 + pace * at));

const [images, channels, out, height, width] = [2, 128, 256, 16, 20] as const;

/** Adds two convolutions, so that one feeds another, and the gradient of their squares. */
function addTwo(graph: Graph, x: Value): Record<string, Value> {
  const { op } = graph;
  const kernel = (shape: readonly number[], pace: number): Value => {
    const data = waves(
      shape.reduce((all, size) => all * size, 1),
      pace,
    );
    return graph.constant({ type: 'float32', shape, data: data.map((value) => value / 30) });
  };
  const bias = graph.constant({ type: 'float32', shape: [out], data: waves(out, 0.3) });
  const same: ConvAttributes = { pads: [1, 1, 1, 1] };
  const first = op.Conv(x, kernel([out, channels, 3, 3], 0.7), bias, same);
  const second = op.Conv(op.Relu(first), kernel([channels, out, 3, 3], 1.1), undefined, same);
  const sum = op.ReduceSumSquare(second, [0, 1, 2, 3], { keepdims: false });
  return { second, gradient: addGradients(graph, sum, [x])[0] as Value };
}

const convolutionsOf = (graph: Graph): number =>
  graph.nodes.filter(({ operator, inputs: [, kernel] }) => operator === 'Conv' && kernel?.shape.at(-1) === 3)
    .length;

t.test('values and gradients are those of the convolutions, of which none is left', async (t) => {
  const device = await openTestDevice();
  t.teardown(() => device.close());
  const data = [...waves(images * channels * height * width, 1.3)];
  const input = { x: { dims: [images, channels, height, width], data } };
  const [plain, fast] = await Promise.all(
    (['cuda', 'cpu'] as const).map((provider) =>
      runGraph(device, input, (graph, { x }) => {
        const values = addTwo(graph, x as Value);
        t.equal(convolutionsOf(graph), 4);
        fasterConvolutions(graph, { provider });
        t.equal(convolutionsOf(graph), provider === 'cpu' ? 0 : 4);
        return values;
      }),
    ),
  );
  for (const name of ['second', 'gradient']) {
    const expected = plain?.[name] ?? new Float32Array();
    const found = fast?.[name] ?? new Float32Array();
    t.equal(found.length, images * channels * height * width);
    const largest = expected.reduce((most, value) => Math.max(most, Math.abs(value)), 0);
    const apart = expected.reduce(
      (most, value, at) => Math.max(most, Math.abs(value - (found[at] as number))),
      0,
    );
    t.ok(apart < 1e-4 * largest, `${name} differs by ${apart}; its largest entry is ${largest}`);
  }
});

t.test('convolutions that gain nothing, or are of another kind, stay', (t) => {
  const stays = (
    shape: readonly number[],
    kernel: readonly number[],
    attributes: ConvAttributes = {},
  ): boolean => {
    const graph = new Graph('test');
    const data = new Float32Array(kernel.reduce((all, size) => all * size, 1));
    const weights = graph.constant({ type: 'float32', shape: kernel, data });
    graph.op.Conv(graph.input('x', 'float32', ['N', ...shape]), weights, undefined, {
      pads: [1, 1, 1, 1],
      ...attributes,
    });
    fasterConvolutions(graph, { provider: 'cpu' });
    return graph.nodes.length === 1;
  };
  t.notOk(stays([128, 16, 16], [256, 128, 3, 3]));
  t.ok(stays([64, 16, 16], [512, 64, 3, 3]), 'few channels');
  t.ok(stays([128, 16, 16], [128, 128, 3, 3]), 'few channels in all');
  t.ok(stays([128, 8, 8], [256, 128, 3, 3]), 'few tiles');
  t.ok(stays([128, 18, 18], [256, 128, 3, 3]), 'tiles that do not fit');
  t.ok(stays([128, 16, 16], [256, 128, 1, 1]), '1 x 1');
  t.ok(stays([128, 16, 16], [256, 128, 3, 3], { strides: [2, 2] }), 'strides');
  t.ok(stays([128, 16, 16], [256, 128, 3, 3], { pads: [0, 0, 0, 0] }), 'no padding');
  t.ok(stays([128, 16, 16], [256, 128, 3, 3], { dilations: [2, 2], pads: [2, 2, 2, 2] }), 'dilation');
  t.ok(stays([256, 16, 16], [256, 1, 3, 3], { group: 256 }), 'depthwise');
  const graph = new Graph('test');
  const weights = graph.input('w', 'float32', [256, 128, 3, 3]);
  graph.op.Conv(graph.input('x', 'float32', ['N', 128, 16, 16]), weights, undefined, { pads: [1, 1, 1, 1] });
  fasterConvolutions(graph, { provider: 'cpu' });
  t.equal(graph.nodes.length, 1, 'weights that are not constant');
  t.end();
});
