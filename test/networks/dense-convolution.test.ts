/** A convolution as a matrix product has the same values and gradient as the convolution. */
import t from 'tap';
import { addGradients } from '../../src/autodiff/index.js';
import { addDenseConvolution, isDense } from '../../src/networks/dense-convolution.js';
import { Graph, type Value } from '../../src/onnx/index.js';
import { openTestDevice, runGraph } from '../support/run-graph.js';

const [images, inChannels, outChannels] = [3, 5, 7];
const waves = (length: number, pace: number): Float32Array =>
  Float32Array.from({ length }, (_, at) => Math.sin(1 + pace * at));

t.test('a convolution of 2 x 2 positions equals the product with one matrix', async (t) => {
  const device = await openTestDevice();
  t.teardown(() => device.close());
  const kernel = waves(outChannels * inChannels * 9, 0.7);
  const bias = waves(outChannels, 0.3);
  const data = [...waves(images * inChannels * 4, 1.3)];
  const outputs = await runGraph(
    device,
    { x: { dims: [images, inChannels, 2, 2], data } },
    (graph, { x }): Record<string, Value> => {
      if (!x) throw new Error('the input is missing');
      const dense = addDenseConvolution(graph, x, { kernel, bias }, 'matrix');
      const shape = [outChannels, inChannels, 3, 3];
      const plain = graph.op.Conv(
        x,
        graph.constant({ type: 'float32', shape, data: kernel }),
        graph.constant({ type: 'float32', shape: [outChannels], data: bias }),
        { pads: [1, 1, 1, 1] },
      );
      const gradientOf = (y: Value): Value => {
        const sum = graph.op.ReduceSumSquare(y, [0, 1, 2, 3], { keepdims: false });
        return addGradients(graph, sum, [x])[0] as Value;
      };
      t.strictSame(dense.shape, plain.shape);
      return { dense, plain, denseGradient: gradientOf(dense), plainGradient: gradientOf(plain) };
    },
  );
  for (const [one, other] of [
    ['dense', 'plain'],
    ['denseGradient', 'plainGradient'],
  ] as const) {
    const expected = outputs[other] ?? new Float32Array();
    t.ok(expected.length > 0);
    const largest = Math.max(...expected.map(Math.abs));
    const apart = Math.max(
      ...expected.map((value, at) => Math.abs(value - (outputs[one]?.[at] ?? Number.NaN))),
    );
    t.ok(
      apart < 1e-5 * largest,
      `${one} differs by ${apart} from ${other}, whose largest entry is ${largest}`,
    );
  }
});

t.test('only 2 x 2 positions are dense', (t) => {
  const graph = new Graph('test');
  const of = (height: number, width: number): boolean =>
    isDense(graph.input(`x${height}${width}`, 'float32', ['N', 4, height, width]));
  t.ok(of(2, 2));
  t.notOk(of(4, 4));
  t.notOk(of(2, 4));
  t.end();
});
