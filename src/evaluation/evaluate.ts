/** Evaluating a detector on the test split of a data set. Nothing here changes the detector. */
import { readFile } from 'node:fs/promises';
import { describeSource, type TestImage, type TestSource, testImages } from '../datasets/index.js';
import { imageMap, type LoadedDetector, type RawScores, type ScoringEngine } from '../detector/index.js';
import { decodeMask, decodeNamedImage } from '../imaging/index.js';
import { concatenated } from '../runtime/index.js';
import { type JudgedMap, judgeMap } from './pixel-figures.js';
import { type EvaluationReport, type Measured, makeReport } from './report.js';

export interface EvaluateOptions {
  /** Determines the bootstrap's draws; default 0. */
  readonly seed?: number;
  /** Draws of the bootstrap intervals; default 1,000. */
  readonly resamples?: number;
  readonly onProgress?: (done: number, total: number) => void;
}

/** Images decoded and scored together. */
const batch = 8;

/**
 * Scores every test image. Good images count as without defect in every pixel; a defective image without a
 * mask is left out of the pixel figures.
 * @throws DatasetError, ImageError
 */
export async function evaluate(
  engine: ScoringEngine,
  detector: LoadedDetector,
  source: TestSource,
  { seed = 0, resamples = 1000, onProgress }: EvaluateOptions = {},
): Promise<EvaluationReport> {
  const images = await testImages(source);
  const method = images.some(({ mask }) => mask) ? detector.manifest.localization : 'none';
  const parts: RawScores[] = [];
  const maps: JudgedMap[] = [];
  let decodeSeconds = 0;
  let inferenceSeconds = 0;
  for (let first = 0; first < images.length; first += batch) {
    const part = images.slice(first, first + batch);
    const began = performance.now();
    const decoded = await Promise.all(part.map(({ path }) => decode(path, detector)));
    decodeSeconds += (performance.now() - began) / 1000;
    const { outputs, seconds } = await engine.run(detector, Buffer.concat(decoded), method);
    inferenceSeconds += seconds;
    const { map: _, ...scores } = outputs;
    parts.push(scores);
    if (method !== 'none') maps.push(...(await judge(part, detector, outputs)));
    onProgress?.(Math.min(first + batch, images.length), images.length);
  }
  const measured: Measured = {
    images,
    score: concatenated(parts.map(({ score }) => score)),
    value: concatenated(parts.map(({ value }) => value)),
    direction: concatenated(parts.map(({ direction }) => direction)),
    peak: concatenated(parts.map(({ peak = new Float32Array() }) => peak)),
    maps,
    decodeSeconds,
    inferenceSeconds,
  };
  return makeReport(describeSource(source), detector, measured, { seed, resamples });
}

async function decode(path: string, detector: LoadedDetector): Promise<Uint8Array> {
  return (await decodeNamedImage(await readFile(path), path, detector.shape.inputSize)).pixels;
}

async function judge(
  images: readonly TestImage[],
  detector: LoadedDetector,
  outputs: RawScores,
): Promise<JudgedMap[]> {
  const { inputSize } = detector.shape;
  const judged: JudgedMap[] = [];
  for (const [index, { kind, anomalous, mask }] of images.entries()) {
    if (anomalous && !mask) continue;
    const pixels = mask ? await decodeMask(await readFile(mask), inputSize) : undefined;
    judged.push(judgeMap(kind, imageMap(detector, outputs, index), pixels));
  }
  return judged;
}
