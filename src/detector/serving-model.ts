/**
 * The graphs that serve detectors: expert and cloner in one graph. The cloner's weights are inputs, so that one session
 * serves all detectors of the same shape. Graphs are built in the worker that runs them, which therefore loads this file and
 * what it imports: no image library and no schemas.
 */
import { addGradients, guidedRules, plainRules } from '../autodiff/index.js';
import { sidesOf } from '../imaging/map.js';
import { addExpert, addImageInput, fasterConvolutions, loadExpert, tensorNames } from '../networks/index.js';
import { encodeModel, Graph, type Value } from '../onnx/index.js';
import {
  asConstants,
  type ModelRecipe,
  type Placement,
  sessionInputs,
  type Tensors,
} from '../runtime/index.js';
import {
  type ClonerSpec,
  type DiscrepancyMap,
  type ScoreShape,
  type ScoreTerms,
  servedCloner,
} from './cloners/index.js';
import { addGaussianSmoothing } from './smoothing.js';

const { inputs, nextStateName, outputs } = tensorNames;

/**
 * How a localization map is computed: from the gradient of the score (MKD, section 3.3), or from the discrepancies at each
 * position, which a linear cloner has.
 */
export const localizationMethods = ['discrepancy', 'gradient', 'smoothgrad', 'guided'] as const;

export type LocalizationMethod = (typeof localizationMethods)[number];

/** What all detectors that share a session have in common. */
export interface ServingShape extends ScoreShape {
  /** Path of the expert's card. */
  readonly expertCard: string;
  readonly cloner: ClonerSpec;
}

export interface ServingModelSpec extends ServingShape {
  /** `none` computes scores only, without the gradient. */
  readonly map: LocalizationMethod | 'none';
  /** Inputs that become constants of the model, which then serves one detector only. */
  readonly bound?: Tensors;
}

export const servingModel = (spec: ServingModelSpec): ModelRecipe => ({
  module: import.meta.url,
  function: buildServingModel.name,
  argument: spec,
});

/**
 * Builds the model. Inputs and outputs are those of {@link tensorNames}: the image, the weights of discrepancies and
 * cloner. Outputs: score, value and direction, then the map as requested. A discrepancy map and its peak are computed only if the
 * input `map_wanted` says so: one session, with one expert in memory, serves scores with and without it.
 *
 * SmoothGrad takes one image and processes its noisy copies in parts: further inputs are the noise, the sum of the
 * gradients so far, and the number of copies in all parts. Its map is right after the last part.
 */
export async function buildServingModel(spec: ServingModelSpec, placement: Placement): Promise<Uint8Array> {
  const graph = new Graph(`serving-${spec.map}`);
  const smoothGrad = spec.map === 'smoothgrad';
  const { width, height } = sidesOf(spec.inputSize);
  const size = [height, width] as const;
  const image = addImageInput(graph, size, smoothGrad ? 1 : 'N');
  const graphInput = smoothGrad
    ? graph.op.Add(image, graph.input(inputs.noise, 'float32', ['K', 3, ...size]))
    : image;
  const expert = await loadExpert(spec.expertCard);
  // Gradients are made of many small numbers, which float16 does not have.
  const precision = spec.map === 'none' || spec.map === 'discrepancy' ? placement.precision : 'float32';
  const pools = addExpert(graph, graphInput, expert, precision);
  const cloner = servedCloner(spec.cloner);
  const terms = cloner.addScore(graph, graphInput, pools, spec);
  const { score, value, direction } = terms;
  if (!smoothGrad) {
    graph.output(score, outputs.score);
    graph.output(value, outputs.value);
    graph.output(direction, outputs.direction);
  }
  if (spec.map === 'discrepancy') {
    const { map, peak } = discrepancyMapOf(terms);
    const none = (shape: readonly number[]) => ({
      type: 'float32' as const,
      shape,
      data: new Float32Array(),
    });
    graph.outputIf(graph.input(inputs.mapWanted, 'bool', []), [
      { name: outputs.peak, value: peak, otherwise: none([0]) },
      { name: outputs.map, value: graph.op.Reshape(map, [0, ...size]), otherwise: none([0, ...size]) },
    ]);
  } else if (spec.map !== 'none') {
    const grad = addImageGradient(graph, differentiated(terms), image, spec.map);
    graph.output(addGradientMap(graph, smoothGrad ? addToSum(graph, grad) : grad), outputs.map);
  }
  fasterConvolutions(graph, placement);
  // A graph has only the inputs that it needs; a detector's constants are those of all its graphs.
  const names = new Set(graph.inputs.map(({ name }) => name));
  const bound = Object.entries(spec.bound ?? {}).filter(([name]) => names.has(name));
  return encodeModel(graph, asConstants(sessionInputs(Object.fromEntries(bound))));
}

/** Adds a gradient to the sum so far. Returns the sum divided by the number of copies, [1, 3, H, W]. */
function addToSum(graph: Graph, grad: Value): Value {
  const { op } = graph;
  const sum = op.Add(graph.input(inputs.gradientSum, 'float32', grad.shape), grad);
  graph.output(sum, nextStateName(inputs.gradientSum));
  return op.Div(sum, graph.input(inputs.copies, 'float32', []));
}

/** Adds the discrepancy map of a score. @throws RangeError if the cloner has none. */
export function discrepancyMapOf({ addRegion }: ScoreTerms): DiscrepancyMap {
  if (addRegion) return addRegion();
  throw new RangeError('this kind of cloner has no discrepancy map');
}

/** Adds what gradient maps differentiate, [N]. */
export function differentiated({ addDifferentiated, score }: ScoreTerms): Value {
  return addDifferentiated?.() ?? score;
}

/** Adds the gradient with respect to the image, [N, 3, H, W], by the rules of a localization method. */
export function addImageGradient(graph: Graph, of: Value, image: Value, method: LocalizationMethod): Value {
  const rules = method === 'guided' ? guidedRules : plainRules;
  const [grad] = addGradients(graph, of, [image], { rules }) as [Value];
  return grad;
}

/** Adds |gradient|, summed over the channels and smoothed: [N, 3, H, W] to [N, H, W] (MKD, section 3.3). */
export function addGradientMap(graph: Graph, grad: Value): Value {
  const { op } = graph;
  const magnitude = op.ReduceSum(op.Abs(grad), [1]);
  return op.Squeeze(addGaussianSmoothing(graph, magnitude), [1]);
}
