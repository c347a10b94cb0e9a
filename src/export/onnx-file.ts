/**
 * A detector as one ONNX file for other runtimes: an image in; score, map and gradient out; weights inside. What lies outside the
 * region of interest is blanked in the graph, as when images are decoded.
 */
import {
  addGradientMap,
  addImageGradient,
  DetectorError,
  differentiated,
  discrepancyMapOf,
  type LoadedDetector,
  type LocalizationMethod,
  servedCloner,
} from '../detector/index.js';
import { significant } from '../files/decimals.js';
import { blankColor, insidePlaces, sidesOf } from '../imaging/index.js';
import { addExpert, addImageInput, loadExpert, tensorNames } from '../networks/index.js';
import { encodeModel, Graph, type Value } from '../onnx/index.js';
import { asConstants, sessionInputs } from '../runtime/index.js';
import { mapThreshold } from '../scoring/index.js';

/** What an exported graph computes. Each runtime computes all of them, whatever is asked for. */
export const exportedOutputs = ['score', 'map', 'gradient'] as const;

export type ExportedOutput = (typeof exportedOutputs)[number];

/**
 * `uint8`: decoded pixels, RGB, [N, H, W, 3]. `float32`: planes, RGB in 0..1, [N, 3, H, W], which can be differentiated further.
 */
export const exportedInputs = ['uint8', 'float32'] as const;

export type ExportedInput = (typeof exportedInputs)[number];

export interface ExportOptions {
  readonly input: ExportedInput;
  readonly outputs: readonly ExportedOutput[];
}

export const defaultExport: ExportOptions = { input: 'uint8', outputs: exportedOutputs };

const { inputs, outputs } = tensorNames;

/** The gradient of the score with respect to the image in 0..1, float32 [N, 3, H, W]. */
const gradientOutput = 'gradient';

/**
 * Builds the file. Images must have the detector's input size; of a detector that cuts images into tiles it takes one tile.
 * Outputs: `score` [N]; `map` [N, H, W], by the detector's own method, without SmoothGrad; `gradient` [N, 3, H, W].
 */
export async function onnxFile(
  detector: LoadedDetector,
  { input, outputs: wanted }: ExportOptions = defaultExport,
): Promise<Uint8Array> {
  const { shape, feeds } = detector;
  const { width, height } = sidesOf(shape.inputSize);
  const graph = new Graph('mkd');
  const image =
    input === 'uint8'
      ? addImageInput(graph, [height, width])
      : graph.input(inputs.image, 'float32', ['N', 3, height, width]);
  const inside = insideOf(graph, detector);
  const seen = inside ? withoutOutside(graph, image, inside) : image;
  const pools = addExpert(graph, seen, await loadExpert(shape.expertCard));
  const terms = servedCloner(shape.cloner).addScore(graph, seen, pools, shape);
  const { score } = terms;
  if (wanted.includes('score')) graph.output(score, outputs.score);
  if (wanted.includes('map')) {
    const method = methodOf(detector);
    const map =
      method === 'discrepancy'
        ? graph.op.Reshape(discrepancyMapOf(terms).map, [0, height, width])
        : addGradientMap(graph, addImageGradient(graph, differentiated(terms), image, method));
    graph.output(inside ? graph.op.Mul(map, graph.op.Squeeze(inside, [1])) : map, outputs.map);
  }
  if (wanted.includes('gradient'))
    graph.output(addImageGradient(graph, score, image, 'gradient'), gradientOutput);
  const names = new Set(graph.inputs.map(({ name }) => name));
  const bound = Object.entries(feeds).filter(([name]) => names.has(name));
  const constants = asConstants(sessionInputs(Object.fromEntries(bound)));
  return encodeModel(graph, constants, metadataOf(detector));
}

/** How the file localizes: as the detector does, without the many copies of SmoothGrad. */
export function methodOf({ manifest }: LoadedDetector): Exclude<LocalizationMethod, 'smoothgrad'> {
  return manifest.localization === 'smoothgrad' ? 'gradient' : manifest.localization;
}

/** Returns 1 inside the region of interest, else 0: [1, 1, H, W]; undefined if everything counts. */
function insideOf(graph: Graph, { input, shape }: LoadedDetector): Value | undefined {
  const { region, tiling, fit = 'stretch' } = input;
  if (!region) return undefined;
  if (tiling || fit !== 'stretch') {
    throw new DetectorError(
      `the region of interest lies elsewhere in every image, because of ${tiling ? 'tiles' : `fit ${fit}`}; only a detector that stretches images, or without a region, can be exported`,
    );
  }
  const { width, height } = sidesOf(shape.inputSize);
  const data = Float32Array.from(insidePlaces(region, { width, height }));
  return graph.constant({ type: 'float32', shape: [1, 1, height, width], data });
}

/** Replaces what lies outside by the color that the expert sees as nothing. */
function withoutOutside(graph: Graph, image: Value, inside: Value): Value {
  const { op } = graph;
  const color = Float32Array.from(blankColor, (level) => level / 255);
  const blank = graph.constant({ type: 'float32', shape: [1, 3, 1, 1], data: color });
  return op.Add(op.Mul(image, inside), op.Mul(blank, op.Sub(graph.scalar(1), inside)));
}

/** What a reader of the file needs to decide by the score, and to prepare images as the detector saw them. */
function metadataOf(detector: LoadedDetector): Record<string, string> {
  const { manifest, version, input, shape } = detector;
  const { calibration, range } = manifest;
  const { width, height } = sidesOf(shape.inputSize);
  const method = methodOf(detector);
  const entries: Record<string, string | undefined> = {
    version,
    threshold: String(significant(calibration.threshold, 7)),
    falseAlarmRate: String(calibration.falseAlarmRate),
    mapThreshold: String(significant(mapThreshold(detector, method), 7)),
    mapMethod: method,
    width: String(width),
    height: String(height),
    fit: input.tiling ? undefined : (input.fit ?? 'stretch'),
    tileScale: input.tiling && String(input.tiling.scale),
    tileOverlap: input.tiling && String(input.tiling.overlap),
    valueRange: range && `${range.low}:${range.high}`,
    expert: manifest.expert.name,
    images: String(manifest.data.images),
    created: manifest.created,
  };
  return Object.fromEntries(
    Object.entries(entries).flatMap(([name, value]) => (value === undefined ? [] : [[`mkd.${name}`, value]])),
  );
}
