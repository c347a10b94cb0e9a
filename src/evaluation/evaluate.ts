/** Evaluating a detector on the test split of a data set. Nothing here changes the detector. */
import { readFile } from 'node:fs/promises';
import { type TestImage, testImages } from '../datasets/index.js';
import { imageMap, type LoadedDetector, type ScoringEngine } from '../detector/index.js';
import { decodeImage, decodeMask } from '../imaging/index.js';
import { concatenated } from '../runtime/index.js';
import { auroc, averagePrecision } from './ranking.js';

/** What `mkd evaluate` prints, and writes as JSON. */
export interface EvaluationReport {
  readonly schema: 'mkd.evaluation/1';
  readonly dataset: string;
  readonly detectorVersion: string;
  readonly images: { readonly good: number; readonly defective: number };
  /** Area under the ROC curve of the anomaly score over all test images. */
  readonly imageAuroc: number;
  readonly imageAveragePrecision: number;
  /** AUROC of the localization map's pixels at the detector's input size; null where there are no masks. */
  readonly pixelAuroc: number | null;
  /** The same without good images, as the paper's code computes it. */
  readonly pixelAurocDefectiveOnly: number | null;
  /** Share of good test images above the threshold. */
  readonly falseAlarmRate: number;
  /** Share of defective test images above the threshold. */
  readonly detectionRate: number;
  /** Image AUROC of each kind of defect against all good images. */
  readonly kinds: Readonly<Record<string, { readonly images: number; readonly imageAuroc: number }>>;
}

export interface EvaluateOptions {
  readonly onProgress?: (done: number, total: number) => void;
}

/** Images decoded and scored together. */
const batch = 8;

/**
 * Scores every test image. Good images count as without defect in every pixel; a defective image without a
 * mask is left out of the pixel figures.
 * @param dataset an MVTec tree.
 * @throws DatasetError, ImageError
 */
export async function evaluate(
  engine: ScoringEngine,
  detector: LoadedDetector,
  dataset: string,
  options: EvaluateOptions = {},
): Promise<EvaluationReport> {
  const images = await testImages(dataset);
  const scores = new Float32Array(images.length);
  const pixels = new PixelRanking();
  const method = images.some(({ mask }) => mask) ? detector.manifest.localization : 'none';
  for (let first = 0; first < images.length; first += batch) {
    const part = images.slice(first, first + batch);
    const decoded = await Promise.all(part.map(({ path }) => decode(path, detector)));
    const { outputs } = await engine.run(detector, Buffer.concat(decoded), method);
    scores.set(outputs.score, first);
    for (const [index, image] of part.entries()) {
      if (method !== 'none') await pixels.add(image, imageMap(detector, outputs, index).values, detector);
    }
    options.onProgress?.(Math.min(first + batch, images.length), images.length);
  }
  return report(dataset, detector, images, scores, pixels);
}

async function decode(path: string, detector: LoadedDetector): Promise<Uint8Array> {
  return (await decodeImage(await readFile(path), detector.shape.inputSize)).pixels;
}

function report(
  dataset: string,
  detector: LoadedDetector,
  images: readonly TestImage[],
  scores: Float32Array,
  pixels: PixelRanking,
): EvaluationReport {
  const scoresOf = (wanted: (image: TestImage) => boolean): Float32Array =>
    scores.filter((_, index) => wanted(images[index] as TestImage));
  const good = scoresOf(({ anomalous }) => !anomalous);
  const defective = scoresOf(({ anomalous }) => anomalous);
  const kinds = [...new Set(images.filter(({ anomalous }) => anomalous).map(({ kind }) => kind))];
  const { threshold } = detector.manifest.calibration;
  const above = (list: Float32Array): number =>
    list.filter((score) => score > threshold).length / list.length;
  return {
    schema: 'mkd.evaluation/1',
    dataset,
    detectorVersion: detector.version,
    images: { good: good.length, defective: defective.length },
    imageAuroc: auroc(defective, good),
    imageAveragePrecision: averagePrecision(defective, good),
    pixelAuroc: pixels.auroc('all'),
    pixelAurocDefectiveOnly: pixels.auroc('defective'),
    falseAlarmRate: above(good),
    detectionRate: above(defective),
    kinds: Object.fromEntries(
      kinds.map((kind) => {
        const ofKind = scoresOf((image) => image.kind === kind);
        return [kind, { images: ofKind.length, imageAuroc: auroc(ofKind, good) }];
      }),
    ),
  };
}

/** Map entries by what the masks say of their pixels. */
class PixelRanking {
  readonly #defect: Float32Array[] = [];
  readonly #cleanOfDefective: Float32Array[] = [];
  readonly #good: Float32Array[] = [];

  async add(image: TestImage, map: Float32Array, detector: LoadedDetector): Promise<void> {
    if (!image.anomalous) {
      this.#good.push(map);
      return;
    }
    if (!image.mask) return;
    const mask = await decodeMask(await readFile(image.mask), detector.shape.inputSize);
    this.#defect.push(map.filter((_, pixel) => mask[pixel] !== 0));
    this.#cleanOfDefective.push(map.filter((_, pixel) => mask[pixel] === 0));
  }

  auroc(over: 'all' | 'defective'): number | null {
    const positives = concatenated(this.#defect);
    const negatives = concatenated([...this.#cleanOfDefective, ...(over === 'all' ? this.#good : [])]);
    return positives.length > 0 && negatives.length > 0 ? auroc(positives, negatives) : null;
  }
}
