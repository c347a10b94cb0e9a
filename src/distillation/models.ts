/**
 * The graphs of distillation: the expert's activations, one training step with gradient and Adam, and the loss on images
 * held back. Each is built in the worker that runs it.
 */
import { addGradients } from '../autodiff/index.js';
import {
  addCloner,
  addExpert,
  addImageInput,
  addTrainingCloner,
  type CriticalLayer,
  criticalLayer,
  fasterConvolutions,
  type LayerSpec,
  type Layout,
  loadExpert,
  runningStatistics,
  tensorNames,
  trainableParameters,
} from '../networks/index.js';
import { addObjective, type LayerActivations, type Objective } from '../objective/index.js';
import { encodeModel, Graph, type Value } from '../onnx/index.js';
import type { ModelRecipe, Placement } from '../runtime/index.js';

const { inputs, momentOf, nextStateName, layerNames, outputs } = tensorNames;

export interface ExpertModelSpec {
  readonly expertCard: string;
  readonly inputSize: number;
  readonly layers: readonly CriticalLayer[];
}

export interface ClonerModelSpec {
  readonly layout: Layout;
  readonly inputSize: number;
  readonly layers: readonly LayerSpec[];
}

/** As in PyTorch, which the paper's code uses. */
export const adam = { beta1: 0.9, beta2: 0.999, epsilon: 1e-8 } as const;

export const expertModel = (spec: ExpertModelSpec): ModelRecipe => recipe('buildExpertModel', spec);
export const trainingModel = (spec: ClonerModelSpec): ModelRecipe => recipe('buildTrainingModel', spec);
export const validationModel = (spec: ClonerModelSpec): ModelRecipe => recipe('buildValidationModel', spec);

function recipe(name: string, argument: unknown): ModelRecipe {
  return { module: import.meta.url, function: name, argument };
}

/** Builds the graph from `image` to the activations of each layer, named after the layer. */
export async function buildExpertModel(
  { expertCard, inputSize, layers }: ExpertModelSpec,
  placement: Placement,
): Promise<Uint8Array> {
  const graph = new Graph('expert');
  const image = addImageInput(graph, [inputSize, inputSize]);
  const pools = addExpert(graph, image, await loadExpert(expertCard), placement.precision);
  for (const layer of layers) graph.output(criticalLayer(pools, layer), layer);
  fasterConvolutions(graph, placement);
  return encodeModel(graph);
}

/**
 * Builds the graph of one training step. Inputs: `image`, `expert.<layer>`, the weights of both discrepancies, every
 * parameter with its moments `<name>.m` and `<name>.v`, every running statistic, and Adam's two scalars.
 * Outputs: `loss`, the mean score of the batch, and everything that changes as `<name>.next`.
 */
export function buildTrainingModel(spec: ClonerModelSpec): Uint8Array {
  const graph = new Graph('training');
  const image = addImageInput(graph, [spec.inputSize, spec.inputSize]);
  const parameters = trainableParameters(spec.layout).map(({ name, shape }) =>
    graph.input(name, 'float32', shape),
  );
  const statistics = runningStatistics(spec.layout).map(({ name, shape }) =>
    graph.input(name, 'float32', shape),
  );
  const tensors = new Map([...parameters, ...statistics].map((value) => [value.name, value]));
  const cloner = addTrainingCloner(graph, image, spec.layout, tensors);

  const { score } = addScore(graph, spec, cloner.pools);
  const loss = graph.op.ReduceMean(score, [0], { keepdims: false });
  graph.output(loss, outputs.loss);
  const grads = addGradients(graph, loss, parameters);
  const scalars = {
    stepSize: graph.input(inputs.stepSize, 'float32', []),
    root: graph.input(inputs.rootCorrection, 'float32', []),
  };
  for (const [index, parameter] of parameters.entries())
    addAdam(graph, parameter, grads[index] as Value, scalars);
  for (const [name, next] of cloner.statistics) graph.output(next, nextStateName(name));
  return encodeModel(graph);
}

/** Builds the graph from `image`, `expert.<layer>` and folded cloner weights to the `loss` of each image. */
export function buildValidationModel(spec: ClonerModelSpec): Uint8Array {
  const graph = new Graph('validation');
  const image = addImageInput(graph, [spec.inputSize, spec.inputSize]);
  const { score } = addScore(graph, spec, addCloner(graph, image, spec.layout));
  graph.output(score, outputs.loss);
  return encodeModel(graph);
}

/** Adds the input for the expert's activations of a layer. */
function expertInput(graph: Graph, { name, channels, stride }: LayerSpec, inputSize: number): Value {
  return graph.input(layerNames.expert(name), 'float32', [
    'N',
    channels,
    inputSize / stride,
    inputSize / stride,
  ]);
}

/** Adds the score of each image (MKD, equation 3), over the layers that the cloner is trained on. */
function addScore(
  graph: Graph,
  { layers, inputSize }: ClonerModelSpec,
  pools: ReadonlyMap<CriticalLayer, Value>,
): Objective {
  const activations = layers.map((layer): LayerActivations => {
    return { expert: expertInput(graph, layer, inputSize), cloner: criticalLayer(pools, layer.name) };
  });
  const weights = (name: string): Value => graph.input(name, 'float32', [layers.length]);
  return addObjective(graph, activations, weights(inputs.valueWeights), weights(inputs.directionWeights));
}

/**
 * Adds a step of Adam (Kingma and Ba 2015, algorithm 1). `stepSize` is the learning rate divided by 1 - beta1^t, `root`
 * is the square root of 1 - beta2^t.
 */
function addAdam(
  graph: Graph,
  parameter: Value,
  grad: Value,
  scalars: { stepSize: Value; root: Value },
): void {
  const { op } = graph;
  const moment = (name: 'm' | 'v'): Value =>
    graph.input(momentOf(parameter.name, name), 'float32', parameter.shape);
  const decay = (old: Value, now: Value, beta: number): Value =>
    op.Add(op.Mul(old, graph.scalar(beta)), op.Mul(now, graph.scalar(1 - beta)));
  const m = decay(moment('m'), grad, adam.beta1);
  const v = decay(moment('v'), op.Mul(grad, grad), adam.beta2);
  const size = op.Add(op.Div(op.Sqrt(v), scalars.root), graph.scalar(adam.epsilon));
  graph.output(op.Sub(parameter, op.Mul(op.Div(m, size), scalars.stepSize)), nextStateName(parameter.name));
  graph.output(m, nextStateName(momentOf(parameter.name, 'm')));
  graph.output(v, nextStateName(momentOf(parameter.name, 'v')));
}
