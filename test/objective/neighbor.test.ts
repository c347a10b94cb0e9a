/** The distance to the nearest good image, checked by hand, and its gradient, checked with differences. */
import t, { type Test } from 'tap';
import { addGradients } from '../../src/autodiff/index.js';
import { addNeighborDiscrepancy, addSummary } from '../../src/objective/index.js';
import type { Device } from '../../src/runtime/index.js';
import { openTestDevice, runGraph } from '../support/run-graph.js';

let device: Device;
t.before(async () => {
  device = await openTestDevice();
});
t.after(() => device.close());

/** Two images of three channels, 2 x 2. */
const activations = [
  [
    [4, 1, 0, 0.5],
    [0.2, 9, 1, 2],
    [0, 0, 0, 0],
  ],
  [
    [0, 0, 0.25, 0],
    [0.1, 0, 0, 0.04],
    [1, 3, 16, 2],
  ],
];

/** Two neighbors as columns [3, 2]: one points along the first two channels, the other along the last. */
const neighbors = [0.6, 0, 0.8, 0, 0, 1];

/** Returns the roots of each channel's strongest response, normalized to unit length. */
function summaryByHand(channels: readonly (readonly number[])[]): number[] {
  const roots = channels.map((responses) => Math.sqrt(Math.max(1e-4, ...responses)));
  const length = Math.hypot(...roots);
  return roots.map((root) => root / length);
}

const near = (t: Test, actual: number, expected: number, what: string): void => {
  t.ok(Math.abs(actual - expected) < 1e-5, `${what}: ${actual}, wanted ${expected}`);
};

const run = (data: readonly number[]) =>
  runGraph(
    device,
    { x: { dims: [2, 3, 2, 2], data }, neighbors: { dims: [3, 2], data: neighbors } },
    (graph, { x, neighbors: columns }) => {
      if (!x || !columns) throw new Error('inputs are missing');
      const summary = addSummary(graph, x);
      const discrepancy = addNeighborDiscrepancy(graph, summary, columns);
      const [grad] = addGradients(graph, graph.op.ReduceSum(discrepancy, [0, 1], { keepdims: false }), [x]);
      if (!grad) throw new Error('there is no gradient');
      return { summary, discrepancy, grad };
    },
  );

t.test(
  'the discrepancy is that of the nearest neighbor, from the roots of the strongest responses',
  async (t) => {
    const { summary, discrepancy } = await run(activations.flat(2));
    for (const [image, channels] of activations.entries()) {
      const expected = summaryByHand(channels);
      for (const [channel, entry] of expected.entries()) {
        near(t, summary?.[image * 3 + channel] as number, entry, `image ${image}, channel ${channel}`);
      }
      const cosines = [0, 1].map((column) =>
        expected.reduce(
          (sum, entry, channel) => sum + entry * (neighbors[channel * 2 + column] as number),
          0,
        ),
      );
      near(t, discrepancy?.[image] as number, 1 - Math.max(...cosines), `image ${image}`);
    }
  },
);

t.test('its gradient agrees with centered differences', async (t) => {
  const data = activations.flat(2);
  const { grad } = await run(data);
  const step = 1e-2;
  for (const at of [0, 1, 5, 14, 16, 22]) {
    const sums: number[] = [];
    for (const by of [step, -step]) {
      const { discrepancy } = await run(data.map((entry, place) => (place === at ? entry + by : entry)));
      sums.push((discrepancy?.[0] as number) + (discrepancy?.[1] as number));
    }
    const numerical = ((sums[0] as number) - (sums[1] as number)) / (2 * step);
    const exact = grad?.[at] as number;
    t.ok(Math.abs(numerical - exact) < 1e-3, `${at}: ${exact}, from differences ${numerical}`);
  }
  t.same([...(grad?.subarray(8, 12) ?? [])], [0, 0, 0, 0], 'a channel without response has no gradient');
});
