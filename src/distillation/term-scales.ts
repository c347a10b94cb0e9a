/**
 * Puts the terms of the score on one scale: each is divided by its spread over good images, so that shares are
 * comparable whatever the unit and the layer of a term.
 */
import { assembleScorer, type Scorer, type ServingShape, type Terms } from '../detector/index.js';
import { areaOf, sideOf, wholeImages } from '../imaging/index.js';
import { tensorNames } from '../networks/index.js';
import type { ConstantTensor } from '../onnx/index.js';
import { concatenated } from '../runtime/index.js';
import { rowsOf, type ScoringPipeline } from '../scoring/index.js';
import type { TensorMap } from '../weights/safetensors.js';

const { storedNames } = tensorNames;

/** How much each term counts: directions and neighbors of the scoring layers, and the peak of the discrepancy map. */
export interface TermShares {
  readonly direction: readonly number[];
  readonly neighbor: readonly number[];
  readonly peak: number;
}

/** The terms of a detector that compares positions, and their tensors. */
export interface ScaledTerms {
  readonly terms: Terms;
  /** Mean and deviation [inputSize, inputSize] of good images at each place of the map, and of each layer's own map. */
  readonly tensors: ReadonlyMap<string, ConstantTensor>;
}

/** Lower bound of spreads. */
const smallestSpread = 1e-6;

/** Share of the mean deviation that is added at every place: few images give poor estimates for a single place. */
const commonDeviationShare = 0.3;

/** Images measured together. */
const imagesAtOnce = 16;

/**
 * Returns terms whose weights are shares divided by spreads.
 * @param images uint8 [n, size, size, 3], good images that are not used for the threshold: the scale must not depend on
 * images that calibrate.
 * @param cloner its tensors, with the statistics of the expert's channels, and with the neighbors if they count.
 * @param neighbor each layer's neighbor discrepancies of good images, if they count.
 * @param onProgress counts an image once per measurement.
 */
export async function scaledTerms(
  pipeline: ScoringPipeline,
  shape: ServingShape,
  shares: TermShares,
  cloner: TensorMap,
  images: Uint8Array,
  neighbor: readonly Float32Array[] | undefined,
  onProgress: (done: number, total: number) => void,
): Promise<ScaledTerms> {
  const count = images.length / (areaOf(shape.inputSize) * 3);
  // Each layer's own map, all maps together, and the terms that follow from them.
  const total = count * (shape.scoringLayers.length + 2);
  let done = 0;
  const onImages = (more: number): void => {
    done += more;
    onProgress(done, total);
  };
  const none = shape.scoringLayers.map(() => 0);
  const nothing: Terms['typical'] = { value: none, direction: none, peak: 0 };
  const measure = (layers: readonly number[], places: ScaledTerms['tensors']) => {
    const map = { weight: 0, layers: [...layers] };
    const uncounted = neighbor ? { neighbors: { weights: none, typical: none } } : {};
    const terms: Terms = { value: none, direction: none, typical: nothing, map, ...uncounted };
    const scorer = assembleScorer(shape, terms, new Map([...cloner, ...places]));
    return measured(pipeline, scorer, images, onImages);
  };
  const side = sideOf(shape.inputSize);
  const plain = placeTensors(
    side,
    storedNames.map(),
    () => 0,
    () => 1,
  );
  const tensors = new Map<string, ConstantTensor>();
  const layers: number[] = [];
  for (const [index, layer] of shape.scoringLayers.entries()) {
    const only = none.map((_, other) => (other === index ? 1 : 0));
    const { map } = await measure(only, plain);
    layers.push(1 / scaleOf(map).spread);
    for (const [name, tensor] of statistics(map, side, storedNames.map(layer))) tensors.set(name, tensor);
  }
  const together = statistics((await measure(layers, plain)).map, side, storedNames.map());
  const { direction, peak } = await measure(layers, together);
  const directions = none.map((_, layer) => scaleOf(direction.filter((_, at) => at % none.length === layer)));
  const peaks = scaleOf(peak);
  const neighbors = neighbor?.map(scaleOf);
  const terms: Terms = {
    value: none,
    direction: directions.map(({ spread }, layer) => (shares.direction[layer] as number) / spread),
    typical: { value: none, direction: directions.map(({ typical }) => typical), peak: peaks.typical },
    ...(neighbors
      ? {
          neighbors: {
            weights: neighbors.map(({ spread }, layer) => (shares.neighbor[layer] as number) / spread),
            typical: neighbors.map(({ typical }) => typical),
          },
        }
      : {}),
    map: { weight: shares.peak / peaks.spread, layers },
  };
  return { terms, tensors: new Map([...tensors, ...together]) };
}

/** Returns mean and deviation of a map, [size, size] each. */
function placeTensors(
  size: number,
  name: string,
  mean: (place: number) => number,
  deviation: (place: number) => number,
): ReadonlyMap<string, ConstantTensor> {
  const plane = (of: (place: number) => number): ConstantTensor => ({
    type: 'float32',
    shape: [size, size],
    data: Float32Array.from({ length: size * size }, (_, place) => of(place)),
  });
  return new Map([
    [storedNames.placeMean(name), plane(mean)],
    [storedNames.placeDeviation(name), plane(deviation)],
  ]);
}

/** Returns mean and deviation of maps at every place. @param maps [n, size, size] */
function statistics(maps: Float32Array, size: number, name: string): ReadonlyMap<string, ConstantTensor> {
  const plane = size * size;
  const count = maps.length / plane;
  const sums = new Float64Array(plane);
  const squares = new Float64Array(plane);
  for (const [at, entry] of maps.entries()) {
    const place = at % plane;
    sums[place] = (sums[place] as number) + entry;
    squares[place] = (squares[place] as number) + entry * entry;
  }
  const mean = (place: number): number => (sums[place] as number) / count;
  const deviations = Array.from(squares, (square, place) =>
    Math.sqrt(Math.max(0, square / count - mean(place) ** 2)),
  );
  const common = deviations.reduce((sum, value) => sum + value, 0) / plane;
  const deviation = (place: number): number =>
    Math.max((deviations[place] as number) + commonDeviationShare * common, smallestSpread);
  return placeTensors(size, name, mean, deviation);
}

async function measured(
  pipeline: ScoringPipeline,
  scorer: Scorer,
  images: Uint8Array,
  onImages: (count: number) => void,
): Promise<{ direction: Float32Array; peak: Float32Array; map: Float32Array }> {
  const squares = wholeImages(images, scorer.shape.inputSize);
  const scored = [];
  for (let from = 0; from < squares.length; from += imagesAtOnce) {
    const part = squares.slice(from, from + imagesAtOnce);
    scored.push(...(await pipeline.infer(scorer, part, { map: 'discrepancy' })).images);
    onImages(part.length);
  }
  return {
    direction: rowsOf(scored, 'direction'),
    peak: rowsOf(scored, 'peak'),
    map: concatenated(scored.map(({ map }) => map?.values ?? new Float32Array())),
  };
}

/** Returns the median, and the spread up to the 84 % quantile, one deviation of a normal distribution. */
function scaleOf(values: Float32Array): { typical: number; spread: number } {
  const ascending = Float32Array.from(values).sort();
  const quantile = (share: number) => ascending[Math.round(share * (ascending.length - 1))] as number;
  const typical = quantile(0.5);
  return { typical, spread: Math.max(quantile(0.84) - typical, smallestSpread) };
}
