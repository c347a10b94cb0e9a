/**
 * The graphs of distillation: the expert's activations, one training step with gradient and Adam, the loss on images
 * held back, and the discrepancies between good images. Each is built in the worker that runs it.
 */
import { addGradients } from '../autodiff/index.js';
import {
  addCloner,
  addExpert,
  addImageInput,
  addTrainingCloner,
  type CriticalLayer,
  criticalLayer,
  type LayerSpec,
  type Layout,
  loadExpert,
  runningStatistics,
  tensorNames,
  trainableParameters,
} from '../networks/index.js';
import {
  addNeighborDiscrepancy,
  addObjective,
  addPositionDiscrepancy,
  addSummary,
  type LayerActivations,
  type Objective,
} from '../objective/index.js';
import { encodeModel, Graph, type Value } from '../onnx/index.js';
import type { ModelRecipe } from '../runtime/index.js';

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
  /** If positions are compared: the discrepancy that the cloner must keep at synthetic defects. */
  readonly positions?: { readonly margin: number };
}

export interface NeighborModelSpec {
  readonly inputSize: number;
  readonly layers: readonly LayerSpec[];
}

/** As in PyTorch, which the paper's code uses. */
export const adam = { beta1: 0.9, beta2: 0.999, epsilon: 1e-8 } as const;

export const expertModel = (spec: ExpertModelSpec): ModelRecipe => recipe('buildExpertModel', spec);
export const trainingModel = (spec: ClonerModelSpec): ModelRecipe => recipe('buildTrainingModel', spec);
export const validationModel = (spec: ClonerModelSpec): ModelRecipe => recipe('buildValidationModel', spec);
export const neighborModel = (spec: NeighborModelSpec): ModelRecipe => recipe('buildNeighborModel', spec);

function recipe(name: string, argument: unknown): ModelRecipe {
  return { module: import.meta.url, function: name, argument };
}

/** Builds the graph from `image` to the activations of each layer, named after the layer. */
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
 * Builds the graph of one training step. Inputs: `image`, `expert.<layer>`, the weights of both discrepancies, every
 * parameter with its moments `<name>.m` and `<name>.v`, every running statistic, and Adam's two scalars; if positions
 * are compared also `defect` uint8 [N, H, W], and `mean.<layer>` and `inverse_deviation.<layer>` of each layer.
 * Outputs: `loss`, and everything that changes as `<name>.next`.
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

  const loss = addLoss(graph, spec, addTerms(graph, spec, cloner.pools));
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

/**
 * Builds the graph from `image`, `expert.<layer>` and folded cloner weights to `loss`, `value` and `direction` of each
 * image. Images have no defects.
 */
export function buildValidationModel(spec: ClonerModelSpec): Uint8Array {
  const graph = new Graph('validation');
  const { op } = graph;
  const image = addImageInput(graph, [spec.inputSize, spec.inputSize]);
  const { objective, positions } = addTerms(graph, spec, addCloner(graph, image, spec.layout));
  const loss = positions.reduce(
    (sum, discrepancy) => op.Add(sum, op.ReduceMean(discrepancy, [1, 2, 3], { keepdims: false })),
    objective.score,
  );
  for (const [name, value] of Object.entries({ ...objective, [outputs.loss]: loss })) {
    if (name !== outputs.score) graph.output(value, name);
  }
  return encodeModel(graph);
}

/**
 * Builds the graph from `expert.<layer>` and `neighbors.<layer>` [C, K] to `summary.<layer>` [N, C] and `neighbor`
 * [N, L], the discrepancy to the nearest neighbor.
 */
export function buildNeighborModel({ layers, inputSize }: NeighborModelSpec): Uint8Array {
  const graph = new Graph('neighbors');
  const discrepancies = layers.map((layer) => {
    const summary = addSummary(graph, expertInput(graph, layer, inputSize));
    graph.output(summary, layerNames.summary(layer.name));
    const neighbors = graph.input(layerNames.neighbors(layer.name), 'float32', [layer.channels, 'K']);
    return addNeighborDiscrepancy(graph, summary, neighbors);
  });
  graph.output(graph.op.Concat(discrepancies, 1), outputs.neighbor);
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

/** Discrepancies of whole layers and, if they are compared, of the positions of each layer. */
interface LossTerms {
  readonly objective: Objective;
  /** [N, 1, H, W] of each layer. */
  readonly positions: readonly Value[];
}

function addTerms(
  graph: Graph,
  { layers, inputSize, positions }: ClonerModelSpec,
  pools: ReadonlyMap<CriticalLayer, Value>,
): LossTerms {
  const activations = layers.map((layer): LayerActivations => {
    return { expert: expertInput(graph, layer, inputSize), cloner: criticalLayer(pools, layer.name) };
  });
  const weights = (name: string): Value => graph.input(name, 'float32', [layers.length]);
  const objective = addObjective(
    graph,
    activations,
    weights(inputs.valueWeights),
    weights(inputs.directionWeights),
  );
  if (!positions) return { objective, positions: [] };
  return {
    objective,
    positions: layers.map(({ name, channels }, index) =>
      addPositionDiscrepancy(graph, activations[index] as LayerActivations, {
        mean: graph.input(layerNames.mean(name), 'float32', [channels]),
        inverseDeviation: graph.input(layerNames.inverseDeviation(name), 'float32', [channels]),
      }),
    ),
  };
}

/** Weight of the loss at synthetic defects (discrepancy too small) relative to elsewhere (too large). */
const defectWeight = 0.5;

/**
 * Adds the loss of a batch: whole layers over its good images; positions are pulled together outside synthetic defects,
 * and pushed apart, up to the margin, inside them.
 */
function addLoss(graph: Graph, { positions: options, inputSize }: ClonerModelSpec, terms: LossTerms): Value {
  const { op } = graph;
  const { score } = terms.objective;
  if (!options) return op.ReduceMean(score, [0], { keepdims: false });
  const one = graph.scalar(1);
  const masks = graph.input(inputs.defect, 'uint8', ['N', inputSize, inputSize]);
  const defect = op.Cast(op.Unsqueeze(masks, [1]), 'float32');
  const good = op.Sub(one, op.Squeeze(op.ReduceMax(defect, [1, 2, 3]), [1, 2, 3]));
  const whole = weightedMean(graph, score, good);
  return terms.positions.reduce((sum, discrepancy) => {
    const times = inputSize / (discrepancy.shape[2] as number);
    const inside =
      times === 1 ? defect : op.MaxPool(defect, { kernel_shape: [times, times], strides: [times, times] });
    const apart = op.Relu(op.Sub(graph.scalar(options.margin), discrepancy));
    const pull = weightedMean(graph, discrepancy, op.Sub(one, inside));
    const push = op.Mul(weightedMean(graph, apart, inside), graph.scalar(defectWeight));
    return op.Add(sum, op.Add(pull, push));
  }, whole);
}

/** Adds the weighted mean of all entries; 0 if all weights are 0. */
function weightedMean(graph: Graph, x: Value, weights: Value): Value {
  const { op } = graph;
  const axes = x.shape.map((_, axis) => axis);
  const sum = (value: Value): Value => op.ReduceSum(value, axes, { keepdims: false });
  return op.Div(sum(op.Mul(x, weights)), op.Max(sum(weights), graph.scalar(1)));
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
