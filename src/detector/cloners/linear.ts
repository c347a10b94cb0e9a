/** The linear cloner, in serving graphs. */

import { type PictureSize, sidesOf } from '../../imaging/map.js';
import {
  addLocalFeatures,
  addProjection,
  addReproduction,
  addSpanVector,
  addWindows,
  type CriticalLayer,
  criticalLayer,
  type GridSize,
  type Projection,
  type SpanTensors,
  spanName,
  tensorNames,
} from '../../networks/index.js';
import {
  addCellResidual,
  addLocalResidual,
  addResidual,
  addUnexplained,
  addWeightedSum,
  addWindowEnergy,
  type LocalTensors,
} from '../../objective/index.js';
import type { Graph, Value } from '../../onnx/index.js';
import { addGaussianSmoothing } from '../smoothing.js';
import { type LinearCloner, linearTensors, type SizedSpan } from './linear-cloner.js';
import { linearFeeds } from './linear-feeds.js';
import type { DiscrepancyMap, ScoreShape, ScoreTerms, ServedCloner } from './served-cloner.js';

const { inputs } = tensorNames;

export function servedLinear(cloner: LinearCloner): ServedCloner {
  return {
    addScore: (graph, _image, pools, shape) => addScore(graph, pools, shape, cloner),
    depths: (_shape, layers) => {
      const windows = cloner.windows.layers.map((layer) => layers.indexOf(layer));
      const mean = windows.reduce((sum, place) => sum + place, 0) / windows.length;
      return [...cloner.spans.map(({ layer }) => layers.indexOf(layer)), mean];
    },
    feeds: (terms, tensors) => linearFeeds(cloner, terms, tensors),
    hasMap: true,
  };
}

/** The smoothing of maps as a share of the shorter side: 4 pixels at 256. */
const mapSmoothingShare = 4 / 256;

/**
 * Value discrepancies are the logarithms of what is left, direction discrepancies the unexplained shares. The map is the
 * geometric mean of what is left at each position and in each cell.
 */
function addScore(
  graph: Graph,
  pools: ReadonlyMap<CriticalLayer, Value>,
  { inputSize }: ScoreShape,
  cloner: LinearCloner,
): ScoreTerms {
  const { op } = graph;
  const projections = new Map<string, ProjectedSpan>();
  const project = (span: SizedSpan): ProjectedSpan => {
    const name = spanName(span);
    const known = projections.get(name);
    if (known) return known;
    const vector = addSpanVector(graph, criticalLayer(pools, span.layer), span.grid);
    const tensors = spanInputs(graph, span, vector.shape[1] as number);
    const projected = { tensors, projection: addProjection(graph, vector, tensors) };
    projections.set(name, projected);
    return projected;
  };
  const residuals = cloner.spans.map((span) => {
    const { projection, tensors } = project(span);
    return addResidual(graph, projection, tensors.kept, graph.input(linearTensors.rest(span), 'float32', []));
  });
  const energy = addWindowTerm(graph, pools, cloner);
  const value = op.Log(op.Concat([...residuals, energy.value], 1));
  const shares = cloner.spans.map((span, index) =>
    addUnexplained(graph, project(span).projection, residuals[index] as Value),
  );
  const direction = op.Concat([...shares, energy.share], 1);
  const weights = (name: string): Value => graph.input(name, 'float32', [cloner.spans.length + 1]);
  const valueWeights = weights(inputs.valueWeights);
  const sum = addWeightedSum(graph, value, direction, valueWeights, weights(inputs.directionWeights));
  const score = op.Sub(sum, graph.input(inputs.scoreOffset, 'float32', []));
  const addRegion = (): DiscrepancyMap => {
    const cells = cloner.cells.map((span) => {
      const { projection, tensors } = project(span);
      const reproduction = addReproduction(graph, projection, tensors);
      return addCellResidual(graph, projection.vector, reproduction, span.grid);
    });
    const map = addMap(graph, [addLocal(graph, pools, cloner), ...cells], sidesOf(inputSize));
    return { map, peak: op.Squeeze(op.ReduceMax(map, [1, 2, 3]), [1, 2, 3]) };
  };
  // The gradient of a logarithm fades where what is left is large: there the map would be dark. So each term counts in
  // multiples of what is typical.
  const addDifferentiated = (): Value => {
    const multiples = op.Exp(op.Sub(value, weights(inputs.valueTypical)));
    return op.ReduceSum(op.Mul(multiples, valueWeights), [1], { keepdims: false });
  };
  return { value, direction, score, addDifferentiated, addRegion };
}

interface ProjectedSpan {
  readonly tensors: SpanTensors;
  readonly projection: Projection;
}

/** Adds the energy of the most unusual windows, and its share of itself and of what is usual, 0..1: float32 [N, 1]. */
function addWindowTerm(
  graph: Graph,
  pools: ReadonlyMap<CriticalLayer, Value>,
  { windows: { layers } }: LinearCloner,
): { readonly value: Value; readonly share: Value } {
  const { op } = graph;
  const activations = layers.map((layer) => criticalLayer(pools, layer));
  const channels = activations.reduce((sum, { shape }) => sum + (shape[1] as number), 0);
  const mean = graph.input(linearTensors.windowMean, 'float32', [channels]);
  const whitening = graph.input(linearTensors.windowWhitening, 'float32', [channels, channels]);
  const windows = addWindows(graph, activations, windowGrid(activations), mean);
  const value = addWindowEnergy(graph, windows, whitening);
  // Good windows have an energy of about 1 in each channel.
  return { value, share: op.Div(value, op.Add(value, graph.scalar(channels))) };
}

/** Returns rows and columns of the grid that all layers have. */
export function windowGrid(layers: readonly Value[]): GridSize {
  const least = (axis: 2 | 3): number => Math.min(...layers.map(({ shape }) => shape[axis] as number));
  return [least(2), least(3)];
}

function spanInputs(graph: Graph, span: SizedSpan, size: number): SpanTensors {
  return {
    mean: graph.input(linearTensors.mean(span), 'float32', [size]),
    basis: graph.input(linearTensors.basis(span), 'float32', [size, span.components]),
    kept: graph.input(linearTensors.kept(span), 'float32', [span.components]),
  };
}

function addLocal(graph: Graph, pools: ReadonlyMap<CriticalLayer, Value>, { local }: LinearCloner): Value {
  const features = addLocalFeatures(
    graph,
    local.layers.map((layer) => criticalLayer(pools, layer)),
  );
  const channels = features.shape[1] as number;
  const tensors: LocalTensors = {
    mean: graph.input(linearTensors.localMean, 'float32', [channels]),
    inverseDeviation: graph.input(linearTensors.localInverseDeviation, 'float32', [channels]),
    basis: graph.input(linearTensors.localBasis, 'float32', [local.components, channels, 1, 1]),
  };
  return addLocalResidual(graph, features, tensors);
}

/** Adds the geometric mean of several maps, smoothed, in deviations above what good images show. */
function addMap(graph: Graph, maps: readonly Value[], size: PictureSize): Value {
  const { op } = graph;
  const logs = maps.map((map) => op.Log(addBilinear(graph, map, size)));
  const sum = logs.reduce((total, log) => op.Add(total, log));
  const mean = op.Exp(op.Mul(sum, graph.scalar(1 / maps.length)));
  return addStandardized(graph, addGaussianSmoothing(graph, mean, mapSmoothingShare));
}

/**
 * Adds a map in deviations above what good images show. Below one deviation it falls to 0 as e^(x - 1) does, so that
 * places which show less than the mean still have an order.
 */
function addStandardized(graph: Graph, map: Value): Value {
  const { op } = graph;
  const mean = graph.input(inputs.mapMean, 'float32', []);
  const deviation = graph.input(inputs.mapDeviation, 'float32', []);
  const deviations = op.Div(op.Sub(map, mean), deviation);
  const one = graph.scalar(1);
  const below = op.Exp(op.Sub(op.Min(deviations, one), one));
  return op.Add(op.Sub(op.Max(deviations, one), one), below);
}

/** Adds bilinear interpolation, pixel centers aligned. @param map float32 [N, 1, G, H] */
function addBilinear(graph: Graph, map: Value, { width, height }: PictureSize): Value {
  const [rows, columns] = [addShares(graph, map, 2, height), addShares(graph, map, 3, width)];
  return graph.op.MatMul(graph.op.MatMul(rows, map), graph.op.Transpose(columns, [1, 0]));
}

/** Adds what each place along an axis of the map gives to each of `size` places, [size, places]. */
function addShares(graph: Graph, map: Value, axis: 2 | 3, size: number): Value {
  const from = map.shape[axis] as number;
  const shares = new Float32Array(size * from);
  for (let at = 0; at < size; at++) {
    const position = Math.min(Math.max(((at + 0.5) * from) / size - 0.5, 0), from - 1);
    const below = Math.min(Math.floor(position), from - 2);
    shares[at * from + below] = 1 - (position - below);
    shares[at * from + below + 1] = position - below;
  }
  return graph.constant({ type: 'float32', shape: [size, from], data: shares });
}
