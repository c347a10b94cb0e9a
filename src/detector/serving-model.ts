/**
 * The graphs that serve detectors: expert and cloner fused, the cloner's weights as inputs, so that one
 * session serves every detector of the same shape. Built in the worker that runs them.
 */
import { addGradients, guidedRules, plainRules } from '../autodiff/index.js';
import {
  addCloner,
  addExpert,
  addImageInput,
  type CriticalLayer,
  criticalLayer,
  type Layout,
  loadExpert,
} from '../networks/index.js';
import { addObjective, type Objective } from '../objective/index.js';
import { encodeModel, Graph, type Value } from '../onnx/index.js';
import type { ModelRecipe } from '../runtime/index.js';
import { addGaussianSmoothing } from './smoothing.js';

/** How a localization map is made of the gradient (MKD, section 3.3). */
export const localizationMethods = ['gradient', 'smoothgrad', 'guided'] as const;

export type LocalizationMethod = (typeof localizationMethods)[number];

/** What all detectors that share a session have in common. */
export interface ServingShape {
  /** Path of the expert's card. */
  readonly expertCard: string;
  readonly layout: Layout;
  /** Side of the square input, pixels. */
  readonly inputSize: number;
  readonly scoringLayers: readonly CriticalLayer[];
}

export interface ServingModelSpec extends ServingShape {
  /** `none` gives scores only and skips the gradient. */
  readonly map: LocalizationMethod | 'none';
}

export const servingModel = (spec: ServingModelSpec): ModelRecipe => ({
  module: import.meta.url,
  function: buildServingModel.name,
  argument: spec,
});

/**
 * Inputs: `image` uint8 [N, H, W, 3]; `value_weights` and `direction_weights` [L], one for each scoring
 * layer; `cloner.<name>` as {@link foldedParameters} lists them.
 * Outputs: `score` [N], `value` and `direction` [N, L], and with a gradient `map` [N, H, W].
 *
 * SmoothGrad takes one image and works through its noisy copies in parts: further inputs are `noise`
 * [K, 3, H, W] in 0..1 units, `gradient_sum` [1, 3, H, W] of the parts before, and `copies`, the number of
 * copies in all parts; outputs are `gradient_sum.next` and `map`, which is right after the last part.
 */
export async function buildServingModel(spec: ServingModelSpec): Promise<Uint8Array> {
  const graph = new Graph(`serving-${spec.map}`);
  const smoothGrad = spec.map === 'smoothgrad';
  const size = [spec.inputSize, spec.inputSize] as const;
  const image = addImageInput(graph, size, smoothGrad ? 1 : 'N');
  const seen = smoothGrad ? graph.op.Add(image, graph.input('noise', 'float32', ['K', 3, ...size])) : image;
  const expert = await loadExpert(spec.expertCard);
  const { score, value, direction } = addScore(graph, seen, spec, expert);
  if (!smoothGrad) {
    graph.output(score, 'score');
    graph.output(value, 'value');
    graph.output(direction, 'direction');
  }
  if (spec.map !== 'none') {
    const rules = spec.map === 'guided' ? guidedRules : plainRules;
    const [grad] = addGradients(graph, score, [image], { rules }) as [Value];
    graph.output(addMap(graph, smoothGrad ? addToSum(graph, grad) : grad, spec.inputSize), 'map');
  }
  return encodeModel(graph);
}

function addScore(
  graph: Graph,
  image: Value,
  { layout, scoringLayers }: ServingShape,
  expert: Awaited<ReturnType<typeof loadExpert>>,
): Objective {
  const expertPools = addExpert(graph, image, expert);
  const clonerPools = addCloner(graph, image, layout);
  const layers = scoringLayers.map((name) => ({
    expert: criticalLayer(expertPools, name),
    cloner: criticalLayer(clonerPools, name),
  }));
  const weights = (name: string): Value => graph.input(name, 'float32', [layers.length]);
  return addObjective(graph, layers, weights('value_weights'), weights('direction_weights'));
}

/** The mean gradient over all copies so far, [1, 3, H, W]. */
function addToSum(graph: Graph, grad: Value): Value {
  const { op } = graph;
  const sum = op.Add(graph.input('gradient_sum', 'float32', grad.shape), grad);
  graph.output(sum, 'gradient_sum.next');
  return op.Div(sum, graph.input('copies', 'float32', []));
}

/** |gradient| summed over the channels and smoothed: [N, 3, H, W] to [N, H, W]. */
function addMap(graph: Graph, grad: Value, size: number): Value {
  const { op } = graph;
  const magnitude = op.ReduceSum(op.Abs(grad), [1]);
  return op.Reshape(addGaussianSmoothing(graph, magnitude, size), [0, size, size]);
}
