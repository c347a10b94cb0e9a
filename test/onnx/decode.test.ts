/** Imported models: the rebuilt graph has the same values as the model, and the correct gradient. */
import t from 'tap';
import { addGradients } from '../../src/autodiff/index.js';
import {
  addForeignModel,
  decodeModel,
  encodeModel,
  Graph,
  GraphError,
  type Value,
} from '../../src/onnx/index.js';
import { normal, randomStream } from '../../src/random/random.js';
import { type Device, float32, float32Data, type Session } from '../../src/runtime/index.js';
import {
  type ForeignTestModel,
  mobileModel,
  residualModel,
  unknownModel,
} from '../support/foreign-models.js';
import { openTestDevice } from '../support/run-graph.js';
import { transformerModel } from '../support/transformer-model.js';

const size = 32;
let device: Device;
t.before(async () => {
  device = await openTestDevice();
});
t.after(() => device.close());

function rebuilt({ bytes, layers }: ForeignTestModel, batch: number, side: number): Graph {
  const graph = new Graph('rebuilt');
  const image = graph.input('image', 'float32', [batch, 3, side, side]);
  const names = layers.map(([name]) => name);
  const values = addForeignModel(graph, decodeModel(bytes), image, names, 'expert.');
  for (const [index, name] of names.entries()) graph.output(graph.op.Identity(values[index] as Value), name);
  const sum = values
    .map((value) =>
      graph.op.ReduceMean(graph.op.Mul(value, value), [...value.shape.keys()], { keepdims: false }),
    )
    .reduce((a, b) => graph.op.Add(a, b));
  const [grad] = addGradients(graph, sum, [image]) as [Value];
  graph.output(grad, 'grad');
  return graph;
}

/** Computes the same sum with the original model. */
async function sumOf(
  session: Session,
  image: Float32Array,
  layers: ForeignTestModel['layers'],
): Promise<number> {
  const { outputs } = await session.run({ image: float32([1, 3, size, size], image) });
  return layers.reduce((sum, [name]) => {
    const values = float32Data(outputs, name);
    return sum + values.reduce((squares, value) => squares + value * value, 0) / values.length;
  }, 0);
}

const models = {
  residual: residualModel(size),
  mobile: mobileModel(size),
  transformer: transformerModel(size, 8),
};

for (const [name, model] of Object.entries(models)) {
  t.test(
    `a rebuilt ${name} network has the values of the original model, and a gradient that matches its differences`,
    async (t) => {
      const random = randomStream(5, name);
      const image = Float32Array.from({ length: 3 * size * size }, () => normal(random));
      const [theirs, ours] = [
        await device.session(model.bytes),
        await device.session(encodeModel(rebuilt(model, 1, size))),
      ];
      const feeds = { image: float32([1, 3, size, size], image) };
      const [expected, actual] = [(await theirs.run(feeds)).outputs, (await ours.run(feeds)).outputs];
      for (const [layer, shape] of model.layers) {
        t.strictSame(actual[layer]?.dims, shape);
        const wanted = float32Data(expected, layer);
        const largest = wanted.reduce((most, value) => Math.max(most, Math.abs(value)), 0);
        const difference = float32Data(actual, layer).reduce(
          (most, value, index) => Math.max(most, Math.abs(value - (wanted[index] as number))),
          0,
        );
        t.ok(difference < 1e-5 * largest, `${layer} differs by ${difference / largest}`);
      }
      const grad = float32Data(actual, 'grad');
      for (const seed of [1, 2, 3]) {
        const direction = randomStream(seed, 'direction');
        const step = Float32Array.from(image, () => 1e-3 * normal(direction));
        const moved = (sign: number) => image.map((value, index) => value + sign * (step[index] as number));
        const numerical =
          ((await sumOf(theirs, moved(1), model.layers)) - (await sumOf(theirs, moved(-1), model.layers))) /
          2;
        const exact = step.reduce((sum, part, index) => sum + part * (grad[index] as number), 0);
        t.ok(
          Math.abs(numerical - exact) < 2e-2 * Math.max(Math.abs(numerical), 1e-4),
          `${exact} from the rules, ${numerical} from differences`,
        );
      }
    },
  );

  t.test(`a ${name} network can be rebuilt for another input size`, async (t) => {
    const session = await device.session(encodeModel(rebuilt(model, 2, 64)));
    const image = float32([2, 3, 64, 64], new Float32Array(2 * 3 * 64 * 64).fill(0.5));
    const { outputs } = await session.run({ image });
    for (const [layer, shape] of model.layers) {
      const [, first, ...rest] = shape as readonly [number, number, ...number[]];
      const grown = {
        4: [2, first, ...rest.map((side) => 2 * side)],
        3: [2, 1 + 4 * (first - 1), ...rest],
        2: [2, first],
      };
      t.strictSame(outputs[layer]?.dims, grown[shape.length as keyof typeof grown]);
    }
  });
}

t.test('nodes that the requested layers do not need are left out, even unsupported ones', async (t) => {
  const graph = rebuilt(residualModel(size), 1, size);
  t.notOk(graph.nodes.some(({ operator }) => operator === 'Gemm'));
});

t.test('a layer may be named by its node', async (t) => {
  const graph = new Graph('by node');
  const image = graph.input('image', 'float32', [1, 3, size, size]);
  const model = decodeModel(residualModel(size).bytes);
  const [value] = addForeignModel(graph, model, image, ['node_layer2'], '');
  t.strictSame(value?.shape, [1, 12, size / 8, size / 8]);
});

t.test('errors name what is wrong', async (t) => {
  const add = (bytes: Uint8Array, layer: string) => {
    const graph = new Graph('refused');
    const image = graph.input('image', 'float32', [1, 3, size, size]);
    return addForeignModel(graph, decodeModel(bytes), image, [layer], '');
  };
  t.throws(() => add(unknownModel(size), 'layer1'), {
    name: 'GraphError',
    message: 'Celu node node_layer1: the operator Celu is not supported',
  });
  t.throws(() => add(residualModel(size).bytes, 'layer9'), { message: "the model has no value 'layer9'" });
  t.throws(() => add(Uint8Array.from([1, 2, 3]), 'layer1'), GraphError);
});
