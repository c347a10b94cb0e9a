/** One pass of the expert over good images: what the linear cloner is fitted on. */
import { windowGrid } from '../../detector/index.js';
import { workAhead } from '../../files/ahead.js';
import {
  type InputSize,
  type ScaledImage,
  sidesOf,
  thumbnail,
  tileCount,
  tilePixels,
} from '../../imaging/index.js';
import {
  addExpert,
  addImageInput,
  addLocalFeatures,
  addSpanVector,
  addWindows,
  type CriticalLayer,
  criticalLayer,
  fasterConvolutions,
  loadExpert,
  type Span,
  spanName,
  tensorNames,
} from '../../networks/index.js';
import { encodeModel, Graph, type Value } from '../../onnx/index.js';
import {
  type Device,
  float32Data,
  type ModelRecipe,
  type Placement,
  type Session,
  uint8,
} from '../../runtime/index.js';
import { LocalSums } from './local-fit.js';
import type { Photo } from './photos.js';

/** What is computed of each image. */
export interface FeatureSpec {
  readonly expertCard: string;
  readonly inputSize: InputSize;
  readonly spans: readonly Span[];
  /** Layers whose windows are computed. */
  readonly windows: readonly CriticalLayer[];
  /** Layers of the local features, the finest first; none if they are not wanted. */
  readonly local: readonly CriticalLayer[];
}

const vectorOf = (span: Span): string => `vector.${spanName(span)}`;
const windowRows = 'windows';
const localMean = 'local.mean';
const localProducts = 'local.products';

const featureModel = (spec: FeatureSpec): ModelRecipe => ({
  module: import.meta.url,
  function: buildFeatureModel.name,
  argument: spec,
});

/** Builds the model for one image: the vector of each span, windows, and of the local features what is summed. */
export async function buildFeatureModel(
  { expertCard, inputSize, spans, windows, local }: FeatureSpec,
  placement: Placement,
): Promise<Uint8Array> {
  const graph = new Graph('features');
  const { op } = graph;
  const { width, height } = sidesOf(inputSize);
  const image = addImageInput(graph, [height, width], 1);
  const pools = addExpert(graph, image, await loadExpert(expertCard), placement.precision);
  for (const span of spans) {
    graph.output(addSpanVector(graph, criticalLayer(pools, span.layer), span.grid), vectorOf(span));
  }
  const windowed = windows.map((layer) => criticalLayer(pools, layer));
  const found = addWindows(graph, windowed, windowGrid(windowed));
  // One window after another.
  const rows = op.Reshape(op.Transpose(found, [0, 2, 3, 1]), [-1, found.shape[1] as number]);
  graph.output(rows, windowRows);
  if (local.length > 0)
    addLocalProducts(
      graph,
      local.map((layer) => criticalLayer(pools, layer)),
    );
  fasterConvolutions(graph, placement);
  return encodeModel(graph);
}

/** Adds mean and products of the local features over positions. */
function addLocalProducts(graph: Graph, layers: readonly Value[]): void {
  const { op } = graph;
  // Neighbors are means of almost the same positions: every second one says as much.
  const features = op.Slice(addLocalFeatures(graph, layers), [0, 0], [2 ** 31, 2 ** 31], [2, 3], [2, 2]);
  const [, channels, height, width] = features.shape as [unknown, number, number, number];
  const columns = op.Reshape(features, [channels, height * width]);
  graph.output(op.ReduceMean(columns, [1], { keepdims: false }), localMean);
  const products = op.MatMul(columns, op.Transpose(columns, [1, 0]));
  graph.output(op.Mul(products, graph.scalar(1 / (height * width))), localProducts);
}

/** What was computed of each row: an image, or a tile of one. */
export interface Features {
  /** The image that each row shows, by its place in the list. */
  readonly imageOf: readonly number[];
  /** By name of the span, a vector for each row. */
  readonly vectors: ReadonlyMap<string, readonly Float32Array[]>;
  /** For each row its windows, one after another: [K * K, C]. */
  readonly windows: readonly Float32Array[];
  readonly local: LocalSums;
  /** Of each image. */
  readonly thumbnails: readonly Uint8Array[];
}

export interface FeatureOptions {
  readonly photos: readonly Photo[];
  /** Called with each photo, scaled. */
  readonly onPhoto?: (image: ScaledImage) => Promise<void>;
  readonly onProgress: (done: number, total: number) => void;
}

/** Images that local features are learned from: each has thousands of positions, and their products take as long as a fast expert. */
const mostLocal = 50;

/** Photos that are read before their turn. */
const readAhead = 3;

/** @throws ImageError naming the invalid file. */
export async function computeFeatures(
  device: Device,
  spec: FeatureSpec,
  { photos, onPhoto, onProgress }: FeatureOptions,
): Promise<Features> {
  const inLocal = new Set(spec.local.length > 0 ? spread(photos.length, mostLocal) : []);
  const withLocal = await device.session(featureModel(spec));
  // Few photos are all learned from in full.
  const isFull = inLocal.size === photos.length;
  const plain = isFull ? withLocal : await device.session(featureModel({ ...spec, local: [] }));
  const vectors = new Map(spec.spans.map((span) => [spanName(span), [] as Float32Array[]]));
  const imageOf: number[] = [];
  const windows: Float32Array[] = [];
  const thumbnails: Uint8Array[] = [];
  let local: LocalSums | undefined;
  try {
    // While the expert runs on an image, the next ones are decoded, and what is done with this one goes on.
    let done: Promise<void> | undefined;
    for await (const image of workAhead(photos, readAhead, (photo) => photo.read())) {
      const index = thumbnails.length;
      onProgress(index, photos.length);
      await done;
      done = onPhoto?.(image);
      done?.catch(() => undefined);
      thumbnails.push(thumbnail(image));
      for (let tile = 0; tile < tileCount(image.grid); tile++) {
        const { width, height } = image.grid.tile;
        const dims = [1, height, width, 3];
        const session: Session = inLocal.has(index) ? withLocal : plain;
        const { outputs } = await session.run({
          [tensorNames.inputs.image]: uint8(dims, tilePixels(image, tile)),
        });
        imageOf.push(index);
        for (const span of spec.spans) {
          vectors.get(spanName(span))?.push(Float32Array.from(float32Data(outputs, vectorOf(span))));
        }
        windows.push(Float32Array.from(float32Data(outputs, windowRows)));
        if (!inLocal.has(index)) continue;
        const mean = float32Data(outputs, localMean);
        local ??= new LocalSums(mean.length);
        local.add(mean, float32Data(outputs, localProducts));
      }
    }
    await done;
    onProgress(photos.length, photos.length);
    return { imageOf, vectors, windows, thumbnails, local: local as LocalSums };
  } finally {
    await withLocal.close();
    if (!isFull) await plain.close();
  }
}

/** Returns at most so many places, evenly over all: neighbors in a folder may show the same part. */
export function spread(count: number, most: number): number[] {
  const chosen = Math.min(count, most);
  return Array.from({ length: chosen }, (_, at) => Math.floor((at * count) / chosen));
}
