/** Building graphs: shapes are inferred, and invalid graphs are rejected. */
import { readFile } from 'node:fs/promises';
import { fromBinary } from '@bufbuild/protobuf';
import t from 'tap';
import { addGradients } from '../../src/autodiff/index.js';
import { embeddedExperts, termNames } from '../../src/detector/index.js';
import { buildServingModel } from '../../src/detector/serving-model.js';
import { buildFeatureModel } from '../../src/distillation/linear/features.js';
import { linearRecipeFor } from '../../src/distillation/linear/linear-recipe.js';
import { buildTrainingModel } from '../../src/distillation/models.js';
import { layersOf, paperClonerLayout, readExpertCard } from '../../src/networks/index.js';
import { addForeignModel, decodeModel, encodeModel, Graph, opset, type Value } from '../../src/onnx/index.js';
import {
  type GraphProto,
  type ModelProto,
  ModelProtoSchema,
  type NodeProto,
} from '../../src/onnx/schema/onnx_pb.js';
import { bool, float32, float32Data } from '../../src/runtime/index.js';
import { openTestDevice } from '../support/run-graph.js';
import { transformerModel } from '../support/transformer-model.js';

const decoded = (model: Uint8Array): ModelProto => fromBinary(ModelProtoSchema, model);

/** Returns all nodes of a graph, those of its branches too. */
function nodesOf(graph: GraphProto | undefined): NodeProto[] {
  return (graph?.node ?? []).flatMap((node) => [node, ...node.attribute.flatMap(({ g }) => nodesOf(g))]);
}

t.test('shapes are inferred, including a symbolic batch', async (t) => {
  const graph = new Graph('shapes');
  const { op } = graph;
  const x = graph.input('x', 'float32', ['N', 3, 8, 6]);
  const w = graph.input('w', 'float32', [4, 3, 3, 3]);
  t.strictSame(op.Conv(x, w, undefined, { pads: [1, 1, 1, 1] }).shape, ['N', 4, 8, 6]);
  t.strictSame(op.Conv(x, w, undefined, { strides: [2, 1] }).shape, ['N', 4, 3, 4]);
  t.strictSame(op.MaxPool(x, { kernel_shape: [2, 2], strides: [2, 2] }).shape, ['N', 3, 4, 3]);
  t.strictSame(op.Reshape(x, [0, -1]).shape, ['N', 144]);
  t.strictSame(op.Reshape(x, [-1, 48]).shape, ['3*N', 48]);
  t.strictSame(op.Transpose(x, [0, 2, 3, 1]).shape, ['N', 8, 6, 3]);
  t.strictSame(op.ReduceMean(x, [0, 2, 3]).shape, [1, 3, 1, 1]);
  t.strictSame(op.ReduceSum(x, [-1], { keepdims: false }).shape, ['N', 3, 8]);
  t.strictSame(op.Slice(x, [-1], [Number.MIN_SAFE_INTEGER], [3], [-1]).shape, ['N', 3, 8, 6]);
  t.strictSame(op.Slice(x, [1, 0], [7, 6], [2, 3], [2, 4]).shape, ['N', 3, 3, 2]);
  t.strictSame(op.Add(x, graph.input('b', 'float32', [3, 1, 1])).shape, ['N', 3, 8, 6]);
  t.strictSame(op.Concat([x, x], 1).shape, ['N', 6, 8, 6]);
  t.strictSame(op.ConvTranspose(x, graph.input('k', 'float32', [3, 5, 2, 2]), { strides: [2, 2] }).shape, [
    'N',
    5,
    16,
    12,
  ]);
});

t.test('a graph that could not run is rejected, naming operator and value', async (t) => {
  const graph = new Graph('refusals');
  const { op } = graph;
  const x = graph.input('x', 'float32', ['N', 3, 8, 8]);
  const other = new Graph('other').input('y', 'float32', [1]);
  const refusals: [string, () => unknown, RegExp][] = [
    [
      'different channels',
      () => op.Conv(x, graph.input('w', 'float32', [4, 2, 3, 3])),
      /Conv: x float32\[N, 3, 8, 8\]/,
    ],
    [
      'a kernel larger than the image',
      () => op.Conv(x, graph.input('w9', 'float32', [4, 3, 9, 9])),
      /smaller than the kernel/,
    ],
    [
      'shapes that do not broadcast',
      () => op.Add(x, graph.input('b', 'float32', [2, 1, 1])),
      /Add: x .* differ in shape or type/,
    ],
    [
      'a symbolic size against another',
      () => op.Add(x, graph.input('m', 'float32', [7, 3, 8, 8])),
      /differ in shape or type/,
    ],
    ['different types', () => op.Mul(x, graph.input('h', 'float16', [1])), /Mul/],
    [
      'arithmetic on uint8',
      () => op.Add(graph.input('u', 'uint8', [2]), graph.input('v', 'uint8', [2])),
      /does not support uint8/,
    ],
    [
      'a reshape that loses entries',
      () => op.Reshape(x, [0, 5]),
      /Reshape: x .* cannot have the shape \[0, 5\]/,
    ],
    ['a permutation that repeats an axis', () => op.Transpose(x, [0, 0, 1, 2]), /Transpose/],
    ['an axis out of range', () => op.ReduceSum(x, [4]), /axes \[4\]/],
    [
      'matrices of incompatible sizes',
      () => op.MatMul(graph.input('p', 'float32', [2, 3]), graph.input('q', 'float32', [2, 3])),
      /MatMul/,
    ],
    ['a slice along a symbolic axis', () => op.Slice(x, [0], [1], [0]), /axis 0 .* must be known/],
    ['a value from another graph', () => op.Neg(other), /belongs to graph other/],
    ['a name that is already used', () => graph.input('x', 'float32', [1]), /'x' is taken/],
    [
      'a constant that does not fill its shape',
      () => graph.constant({ type: 'float32', shape: [3], data: Float32Array.of(1) }),
      /do not fill/,
    ],
  ];
  for (const [what, refused, message] of refusals) t.throws(refused, { name: 'GraphError', message }, what);
  t.throws(() => encodeModel(graph), { message: /has no output/ }, 'a graph without output');
});

t.test('nodes that no output needs are left out of the model', async (t) => {
  const graph = new Graph('pruned');
  const x = graph.input('x', 'float32', [2]);
  graph.op.Neg(graph.op.Mul(x, graph.scalar(7)));
  graph.output(graph.op.Abs(x), 'y');
  const model = decoded(encodeModel(graph));
  t.strictSame(
    model.graph?.node?.map(({ opType }) => opType),
    ['Abs'],
  );
  t.equal(model.graph?.initializer?.length, 0);
});

t.test('conditional outputs are computed only if the condition holds', async (t) => {
  const graph = new Graph('conditional');
  const { op } = graph;
  const x = graph.input('x', 'float32', ['N', 2]);
  const shared = op.Abs(x);
  graph.output(shared, 'y');
  const wanted = graph.input('wanted', 'bool', []);
  const otherwise = { type: 'float32', shape: [0, 2], data: new Float32Array() } as const;
  graph.outputIf(wanted, [
    { name: 'root', value: op.Sqrt(shared), otherwise },
    { name: 'same', value: shared, otherwise },
  ]);
  const bytes = encodeModel(graph);
  t.strictSame(
    decoded(bytes).graph?.node.map(({ opType }) => opType),
    ['Abs', 'If'],
    'what only they need is in the branch',
  );
  const device = await openTestDevice();
  t.teardown(() => device.close());
  const session = await device.session(bytes);
  const feeds = { x: float32([1, 2], [-4, 9]) };
  const { outputs: all } = await session.run({ ...feeds, wanted: bool(true) });
  t.strictSame([...float32Data(all, 'root')], [2, 3]);
  t.strictSame([...float32Data(all, 'same')], [4, 9]);
  const { outputs: few } = await session.run({ ...feeds, wanted: bool(false) });
  t.strictSame([...float32Data(few, 'y')], [4, 9]);
  t.strictSame(few.root?.dims, [0, 2]);
  t.throws(() => graph.outputIf(wanted, []), { name: 'GraphError', message: /conditional outputs already/ });
  const other = new Graph('other');
  const condition = other.input('wanted', 'bool', []);
  const value = other.input('x', 'uint8', [2]);
  t.throws(() => other.outputIf(condition, [{ name: 'y', value, otherwise }]), {
    message: /output y is uint8; without the condition it is float32/,
  });
});

interface Kernel {
  readonly from: number;
  readonly to: number | null;
  readonly types: Readonly<Record<string, readonly string[]>>;
}

/** Version of the specification that last changed an operator, at opset 18. */
const sinceVersions: Readonly<Record<string, number>> = {
  Abs: 13,
  Add: 14,
  AveragePool: 11,
  Cast: 13,
  Clip: 13,
  Concat: 13,
  Conv: 11,
  ConvTranspose: 11,
  Div: 14,
  Equal: 13,
  Expand: 13,
  Greater: 13,
  HardSigmoid: 6,
  If: 16,
  Identity: 16,
  MatMul: 13,
  Max: 13,
  MaxPool: 12,
  Min: 13,
  Mul: 14,
  Neg: 13,
  Pad: 18,
  Reciprocal: 13,
  ReduceMax: 18,
  ReduceMean: 18,
  ReduceSum: 13,
  ReduceSumSquare: 18,
  Relu: 14,
  Reshape: 14,
  Resize: 18,
  ScatterElements: 18,
  Shape: 15,
  Sign: 13,
  Size: 13,
  Slice: 13,
  Erf: 13,
  Softmax: 13,
  Where: 16,
  Exp: 13,
  Log: 13,
  Sqrt: 13,
  Squeeze: 13,
  Sub: 14,
  Transpose: 13,
  Unsqueeze: 13,
};

t.test('every operator we emit has a float32 kernel on CUDA', async (t) => {
  const file = new URL('../../../test/onnx/cuda-kernels.json', import.meta.url);
  const { kernels } = JSON.parse(await readFile(file, 'utf8')) as { kernels: Record<string, Kernel[]> };
  const layers = layersOf(await readExpertCard(embeddedExperts.vgg16)).slice(1);
  const models: Uint8Array[] = [buildTrainingModel({ layout: paperClonerLayout, inputSize: 32, layers })];
  for (const map of ['none', 'gradient', 'guided', 'smoothgrad'] as const) {
    const shape = {
      expertCard: embeddedExperts.vgg16,
      cloner: { kind: 'convolutional', layout: paperClonerLayout } as const,
      inputSize: 32,
    };
    models.push(
      await buildServingModel(
        { ...shape, scoringLayers: ['pool3', 'pool4', 'pool5'], map },
        { provider: 'cuda', precision: 'float32' },
      ),
    );
  }
  const { cloner } = linearRecipeFor(await readExpertCard(embeddedExperts.efficientNet));
  const linear = {
    expertCard: embeddedExperts.efficientNet,
    cloner,
    inputSize: 128,
  };
  for (const map of ['discrepancy', 'gradient'] as const) {
    models.push(
      await buildServingModel(
        { ...linear, scoringLayers: termNames(cloner), map },
        { provider: 'cuda', precision: 'float32' },
      ),
    );
  }
  models.push(
    await buildFeatureModel(
      {
        expertCard: embeddedExperts.efficientNet,
        inputSize: 128,
        spans: cloner.spans,
        windows: cloner.windows.layers,
        local: cloner.local.layers,
      },
      { provider: 'cuda', precision: 'float32' },
    ),
  );
  const transformer = new Graph('transformer');
  const image = transformer.input('image', 'float32', ['N', 3, 32, 32]);
  const foreign = decodeModel(transformerModel(32, 8).bytes);
  const [tokens] = addForeignModel(transformer, foreign, image, ['block2'], '') as [Value];
  const [gradient] = addGradients(transformer, tokens, [image]) as [Value];
  transformer.output(gradient, 'gradient');
  models.push(encodeModel(transformer));
  const emitted = new Set<string>();
  for (const bytes of models) {
    const model = decoded(bytes);
    t.equal(Number(model.opsetImport?.[0]?.version), opset);
    for (const node of nodesOf(model.graph)) emitted.add(node.opType ?? '');
  }
  for (const operator of emitted) {
    const since = sinceVersions[operator];
    if (since === undefined) throw new Error(`${operator}: add it to sinceVersions`);
    // A kernel without an end version matches only its own version (onnxruntime, kernel_registry.cc).
    const match = kernels[operator]?.find(
      ({ from, to }) => from === since || (to !== null && from <= since && since <= to),
    );
    t.ok(match, `${operator} since ${since}`);
    const types = Object.values(match?.types ?? {}).flat();
    t.ok(types.includes('float32') || ['Shape', 'Size'].includes(operator), `${operator} takes float32`);
  }
  t.ok(emitted.size > 20);
});
