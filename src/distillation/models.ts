/**
 * The three graphs of distillation: the expert's activations, one step of training with its gradient and
 * Adam, and the loss on images held back. Each is built in the worker that runs it.
 */
import { addGradients } from '../autodiff/index.js';
import {
  addCloner,
  addExpert,
  addImageInput,
  addTrainingCloner,
  type CriticalLayer,
  criticalLayer,
  type Layout,
  loadExpert,
  runningStatistics,
  trainableParameters,
} from '../networks/index.js';
import { addObjective, type LayerActivations } from '../objective/index.js';
import { encodeModel, Graph, type Shape, type Value } from '../onnx/index.js';
import type { ModelRecipe } from '../runtime/index.js';

export interface ExpertModelSpec {
  readonly expertCard: string;
  readonly inputSize: number;
  readonly layers: readonly CriticalLayer[];
}

export interface ClonerModelSpec {
  readonly layout: Layout;
  readonly inputSize: number;
  readonly layers: readonly CriticalLayer[];
  /** Channels of the expert at each of `layers`. */
  readonly channels: readonly number[];
}

/** As in PyTorch, which the paper's code uses. */
export const adam = { beta1: 0.9, beta2: 0.999, epsilon: 1e-8 } as const;

export const expertModel = (spec: ExpertModelSpec): ModelRecipe => recipe('buildExpertModel', spec);
export const trainingModel = (spec: ClonerModelSpec): ModelRecipe => recipe('buildTrainingModel', spec);
export const validationModel = (spec: ClonerModelSpec): ModelRecipe => recipe('buildValidationModel', spec);

function recipe(name: string, argument: unknown): ModelRecipe {
  return { module: import.meta.url, function: name, argument };
}

/** `image` to the activations of each layer, named after it. */
export async function buildExpertModel({
  expertCard,
  inputSize,
  layers,
}: ExpertModelSpec): Promise<Uint8Array> {
  const graph = new Graph('expert');
  const image = addImageInput(graph, [inputSize, inputSize]);
  const pools = addExpert(graph, image, await loadExpert(expertCard));
  for (const layer of layers) graph.output(criticalLayer(pools, layer), layer);
  return encodeModel(graph);
}

/**
 * One step of distillation. Inputs: `image`, `expert.<layer>`, the weights of both discrepancies, every
 * parameter with its moments `<name>.m` and `<name>.v`, every running statistic, and Adam's two scalars.
 * Outputs: `loss`, and everything that changes as `<name>.next`.
 */
export function buildTrainingModel(spec: ClonerModelSpec): Uint8Array {
  const graph = new Graph('training');
  const { op } = graph;
  const image = addImageInput(graph, [spec.inputSize, spec.inputSize]);
  const parameters = trainableParameters(spec.layout).map(({ name, shape }) =>
    graph.input(name, 'float32', shape),
  );
  const statistics = runningStatistics(spec.layout).map(({ name, shape }) =>
    graph.input(name, 'float32', shape),
  );
  const tensors = new Map([...parameters, ...statistics].map((value) => [value.name, value]));
  const cloner = addTrainingCloner(graph, image, spec.layout, tensors);

  const { score } = addLossTerms(graph, spec, cloner.pools);
  const loss = op.ReduceMean(score, [0], { keepdims: false });
  graph.output(loss, 'loss');
  const grads = addGradients(graph, loss, parameters);
  const scalars = {
    stepSize: graph.input('step_size', 'float32', []),
    root: graph.input('root_correction', 'float32', []),
  };
  for (const [index, parameter] of parameters.entries())
    addAdam(graph, parameter, grads[index] as Value, scalars);
  for (const [name, next] of cloner.statistics) graph.output(next, `${name}.next`);
  return encodeModel(graph);
}

/** `image`, `expert.<layer>` and folded cloner weights to `score`, `value` and `direction` of each image. */
export function buildValidationModel(spec: ClonerModelSpec): Uint8Array {
  const graph = new Graph('validation');
  const image = addImageInput(graph, [spec.inputSize, spec.inputSize]);
  const { score, value, direction } = addLossTerms(graph, spec, addCloner(graph, image, spec.layout));
  graph.output(score, 'score');
  graph.output(value, 'value');
  graph.output(direction, 'direction');
  return encodeModel(graph);
}

function addLossTerms(
  graph: Graph,
  { layers, channels, inputSize }: ClonerModelSpec,
  pools: ReadonlyMap<CriticalLayer, Value>,
): ReturnType<typeof addObjective> {
  const activations = layers.map((layer, index): LayerActivations => {
    const side = inputSize / 2 ** Number(layer.slice('pool'.length));
    const shape: Shape = ['N', channels[index] as number, side, side];
    return { expert: graph.input(`expert.${layer}`, 'float32', shape), cloner: criticalLayer(pools, layer) };
  });
  const weights = (name: string): Value => graph.input(name, 'float32', [layers.length]);
  return addObjective(graph, activations, weights('value_weights'), weights('direction_weights'));
}

/**
 * Adam (Kingma and Ba 2015, algorithm 1). `stepSize` is the learning rate over 1 - beta1^t, `root` is
 * the square root of 1 - beta2^t.
 */
function addAdam(
  graph: Graph,
  parameter: Value,
  grad: Value,
  scalars: { stepSize: Value; root: Value },
): void {
  const { op } = graph;
  const moment = (name: string): Value =>
    graph.input(`${parameter.name}.${name}`, 'float32', parameter.shape);
  const decay = (old: Value, now: Value, beta: number): Value =>
    op.Add(op.Mul(old, graph.scalar(beta)), op.Mul(now, graph.scalar(1 - beta)));
  const m = decay(moment('m'), grad, adam.beta1);
  const v = decay(moment('v'), op.Mul(grad, grad), adam.beta2);
  const size = op.Add(op.Div(op.Sqrt(v), scalars.root), graph.scalar(adam.epsilon));
  graph.output(op.Sub(parameter, op.Mul(op.Div(m, size), scalars.stepSize)), `${parameter.name}.next`);
  graph.output(m, `${parameter.name}.m.next`);
  graph.output(v, `${parameter.name}.v.next`);
}
