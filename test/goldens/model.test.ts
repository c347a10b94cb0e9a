/** The whole model compared with PyTorch: scores, image and weight gradients, running statistics, Adam. */
import { readFile } from 'node:fs/promises';
import t from 'tap';
import { addGradients, guidedRules, plainRules, type Registry } from '../../src/autodiff/index.js';
import { embeddedExperts } from '../../src/detector/index.js';
import { adam, buildTrainingModel } from '../../src/distillation/models.js';
import {
  addCloner,
  addExpert,
  addImageInput,
  type CriticalLayer,
  convolutions,
  criticalLayer,
  foldBatchNormalization,
  layersOf,
  loadExpert,
  normalizationName,
  paperClonerLayout,
  trainableParameters,
} from '../../src/networks/index.js';
import { addObjective } from '../../src/objective/index.js';
import { type ConstantTensor, encodeModel, Graph, type Value } from '../../src/onnx/index.js';
import { Device, float32, float32Data, type Tensor, type Tensors, uint8 } from '../../src/runtime/index.js';
import { testProvider } from '../support/provider.js';

interface Packed {
  readonly shape: readonly number[];
  readonly base64: string;
}
interface Sample {
  readonly largest: number;
  readonly stride: number;
  readonly sample: readonly number[];
}
interface Golden {
  readonly lambda: number;
  readonly scoringLayers: readonly CriticalLayer[];
  readonly trainingLayers: readonly CriticalLayer[];
  readonly imagesNhwc: Packed;
  readonly initial: Readonly<Record<string, { readonly first: readonly number[] }>>;
  readonly activationRms: Readonly<Record<string, number>>;
  readonly inference: {
    readonly score: readonly number[];
    readonly value: Readonly<Record<string, readonly number[]>>;
    readonly direction: Readonly<Record<string, readonly number[]>>;
    readonly image01Grad: Packed;
    readonly guidedImage01Grad: Packed;
  };
  readonly training: {
    readonly loss: number;
    readonly statistics: Readonly<Record<string, readonly number[]>>;
    readonly gradients: Readonly<Record<string, Sample>>;
  };
  readonly adam: { readonly learningRate: number; readonly losses: readonly number[] };
}

const size = 64;
const golden = JSON.parse(
  await readFile(new URL('../../../test/goldens/model.json', import.meta.url), 'utf8'),
) as Golden;
const images = uint8(golden.imagesNhwc.shape, unpack(golden.imagesNhwc));
let device: Device;
t.before(async () => {
  device = await Device.open({ provider: testProvider });
});
t.teardown(() => device.close());

function unpack({ base64 }: Packed): Uint8Array {
  return Uint8Array.from(Buffer.from(base64, 'base64'));
}

/** The generator of reference.py. */
function mulberry32(seed: number): () => number {
  let state = seed;
  return () => {
    state = (state + 0x6d2b79f5) | 0;
    let mixed = Math.imul(state ^ (state >>> 15), 1 | state);
    mixed = (mixed + Math.imul(mixed ^ (mixed >>> 7), 61 | mixed)) ^ mixed;
    return ((mixed ^ (mixed >>> 14)) >>> 0) / 2 ** 32;
  };
}

/** The cloner of reference.py: Xavier kernels and non-trivial batch normalization. */
function goldenCloner(): Map<string, ConstantTensor> {
  const cloner = new Map<string, ConstantTensor>();
  const kernels = mulberry32(1);
  for (const { name, inChannels, outChannels } of convolutions(paperClonerLayout)) {
    const limit = Math.sqrt(6 / (9 * inChannels + 9 * outChannels));
    const data = Float32Array.from(
      { length: outChannels * inChannels * 9 },
      () => limit * (2 * kernels() - 1),
    );
    cloner.set(`${name}.weight`, { type: 'float32', shape: [outChannels, inChannels, 3, 3], data });
  }
  const normalizations = mulberry32(2);
  const draw: Readonly<Record<string, (u: number) => number>> = {
    weight: (u) => 0.5 + u,
    bias: (u) => u - 0.5,
    running_mean: (u) => 0.2 * (u - 0.5),
    running_var: (u) => 0.5 + u,
  };
  for (const { name, outChannels, last } of convolutions(paperClonerLayout)) {
    if (last) continue;
    for (const [part, of] of Object.entries(draw)) {
      const data = Float32Array.from({ length: outChannels }, () => of(normalizations()));
      cloner.set(`${normalizationName(name)}.${part}`, { type: 'float32', shape: [outChannels], data });
    }
  }
  return cloner;
}

function largestDifference(actual: Iterable<number>, wanted: Iterable<number>): number {
  const expected = [...wanted];
  const scale = expected.reduce((largest, entry) => Math.max(largest, Math.abs(entry)), 0);
  const list = [...actual];
  if (list.length !== expected.length) return Number.POSITIVE_INFINITY;
  return (
    list.reduce((most, value, index) => Math.max(most, Math.abs(value - (expected[index] as number))), 0) /
    scale
  );
}

function termWeights(layers: readonly string[]): Tensors {
  return {
    value_weights: float32(
      [layers.length],
      layers.map(() => golden.lambda),
    ),
    direction_weights: float32(
      [layers.length],
      layers.map(() => 1),
    ),
  };
}

async function infer(rules: Registry): Promise<Tensors> {
  const graph = new Graph('golden');
  const image = addImageInput(graph, [size, size]);
  const expert = addExpert(graph, image, await loadExpert(embeddedExperts.vgg16));
  const cloner = addCloner(graph, image, paperClonerLayout);
  const layers = golden.scoringLayers.map((layer) => ({
    expert: criticalLayer(expert, layer),
    cloner: criticalLayer(cloner, layer),
  }));
  const weights = (name: string): Value => graph.input(name, 'float32', [layers.length]);
  const { score, value, direction } = addObjective(
    graph,
    layers,
    weights('value_weights'),
    weights('direction_weights'),
  );
  const [grad] = addGradients(graph, score, [image], { rules }) as [Value];
  for (const [name, output] of Object.entries({ score, value, direction, grad })) graph.output(output, name);
  const session = await device.session(encodeModel(graph));
  const feeds: Record<string, Tensor> = { image: images, ...termWeights(golden.scoringLayers) };
  for (const { name, shape, data } of foldBatchNormalization(paperClonerLayout, goldenCloner())) {
    feeds[`cloner.${name}`] = float32(shape, data);
  }
  const { outputs } = await session.run(feeds);
  await session.close();
  return outputs;
}

t.test('the goldens were made with the embedded expert and the same cloner', async (t) => {
  const { card } = await loadExpert(embeddedExperts.vgg16);
  t.strictSame(
    golden.activationRms,
    card.schema === 'mkd.expert/1' && card.activationRms,
    'run make_goldens.py again after the card changed',
  );
  for (const [name, { data }] of goldenCloner()) {
    t.ok(largestDifference(data.slice(0, 3) as Float32Array, golden.initial[name]?.first ?? []) < 1e-6, name);
  }
});

t.test('scores agree within 1e-4, plain and guided image gradients within 1e-3', async (t) => {
  const { inference, scoringLayers } = golden;
  for (const [rules, expected] of [
    [plainRules, inference.image01Grad],
    [guidedRules, inference.guidedImage01Grad],
  ] as const) {
    const outputs = await infer(rules);
    t.ok(largestDifference(float32Data(outputs, 'score'), inference.score) < 1e-4);
    for (const [at, layer] of scoringLayers.entries()) {
      for (const term of ['value', 'direction'] as const) {
        const ofLayer = float32Data(outputs, term).filter((_, index) => index % scoringLayers.length === at);
        t.ok(largestDifference(ofLayer, inference[term][layer] ?? []) < 1e-4, `${term} at ${layer}`);
      }
    }
    const difference = largestDifference(
      float32Data(outputs, 'grad'),
      new Float32Array(unpack(expected).buffer),
    );
    t.ok(difference < 1e-3, `image gradient differs by ${difference}`);
  }
});

t.test(
  'a training step agrees: loss, weight gradients within 1e-3, statistics, and three losses of Adam',
  async (t) => {
    const { card } = await loadExpert(embeddedExperts.vgg16);
    const layers = layersOf(card).filter(({ name }) => golden.trainingLayers.includes(name));
    const session = await device.session(
      buildTrainingModel({ layout: paperClonerLayout, inputSize: size, layers }),
    );
    let state: Record<string, Tensor> = {};
    for (const [name, { shape, data }] of goldenCloner()) state[name] = float32(shape, data as Float32Array);
    for (const { name, shape } of trainableParameters(paperClonerLayout)) {
      const zeros = (): Float32Array => new Float32Array(shape.reduce((product, dim) => product * dim, 1));
      state[`${name}.m`] = float32(shape, zeros());
      state[`${name}.v`] = float32(shape, zeros());
    }
    const fixed = { image: images, ...(await expertActivations()), ...termWeights(golden.trainingLayers) };
    const losses: number[] = [];
    for (let step = 1; step <= golden.adam.losses.length; step++) {
      const { outputs } = await session.run({
        ...fixed,
        ...state,
        step_size: float32([], [golden.adam.learningRate / (1 - adam.beta1 ** step)]),
        root_correction: float32([], [Math.sqrt(1 - adam.beta2 ** step)]),
      });
      losses.push(float32Data(outputs, 'loss')[0] as number);
      if (step === 1) {
        for (const [name, { largest, stride, sample }] of Object.entries(golden.training.gradients)) {
          // The first moment starts at 0, so after one step it is a tenth of the gradient.
          const sampled = float32Data(outputs, `${name}.m.next`).filter((_, index) => index % stride === 0);
          const difference = sample.reduce(
            (most, expected, index) =>
              Math.max(most, Math.abs((sampled[index] as number) / (1 - adam.beta1) - expected)),
            0,
          );
          t.ok(difference / largest < 1e-3, `gradient of ${name} differs by ${difference / largest}`);
        }
        for (const [name, expected] of Object.entries(golden.training.statistics)) {
          t.ok(largestDifference(float32Data(outputs, `${name}.next`), expected) < 1e-4, name);
        }
      }
      state = Object.fromEntries(Object.keys(state).map((name) => [name, outputs[`${name}.next`] as Tensor]));
    }
    await session.close();
    t.ok(largestDifference(losses, golden.adam.losses) < 1e-4, `losses ${losses.join(', ')}`);
  },
);

async function expertActivations(): Promise<Tensors> {
  const graph = new Graph('expert');
  const pools = addExpert(graph, addImageInput(graph, [size, size]), await loadExpert(embeddedExperts.vgg16));
  for (const layer of golden.trainingLayers) graph.output(criticalLayer(pools, layer), `expert.${layer}`);
  const session = await device.session(encodeModel(graph));
  const { outputs } = await session.run({ image: images });
  await session.close();
  return outputs;
}
