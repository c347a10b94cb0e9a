/**
 * A detector as a folder, the whole truth of it: `manifest.json`, `cloner.safetensors` and
 * `self-test.safetensors`. Reading checks schema and hashes; writing replaces the folder as a whole.
 */
import { createHash } from 'node:crypto';
import { copyFile, mkdir, readFile, rename, rm, stat, writeFile } from 'node:fs/promises';
import { join, resolve } from 'node:path';
import { replaceFile } from '../files/replace-file.js';
import type { Tiling } from '../imaging/index.js';
import {
  type CriticalLayer,
  foldBatchNormalization,
  type Layout,
  runningStatistics,
  trainableParameters,
} from '../networks/index.js';
import { compact, float32, type Tensor, type Tensors } from '../runtime/index.js';
import {
  floatTensor,
  readSafetensors,
  SafetensorsError,
  type TensorMap,
  writeSafetensors,
} from '../weights/safetensors.js';
import { detectorsIn, isDetector } from './detectors-in.js';
import { findExpert } from './find-expert.js';
import { LearnedImages } from './learned-images.js';
import type { Scorer, SelfTest, UnverifiedDetector } from './loaded-detector.js';
import { DetectorError, type Manifest, parseManifest, type Terms } from './manifest.js';
import { selfTestTolerance } from './self-test.js';
import type { ServingShape } from './serving-model.js';

/** The files of a detector. */
export const detectorFiles: readonly string[] = [
  'manifest.json',
  'cloner.safetensors',
  'self-test.safetensors',
];

/**
 * Reads a detector.
 * @param expertFolders where to look for its expert, besides the folder of models that ships with the package.
 * @throws DetectorError naming the file and what is wrong with it.
 */
export async function readDetector(
  folder: string,
  expertFolders: readonly string[] = [],
): Promise<UnverifiedDetector> {
  const { manifest, version } = await readManifest(folder);
  const clonerTensors = await readVerified(folder, manifest.cloner);
  const selfTestTensors = await readVerified(folder, manifest.selfTest);
  const expertCard = await findExpert(manifest.expert, expertFolders);
  const shape: ServingShape = {
    expertCard,
    layout: manifest.cloner.layout,
    inputSize: manifest.inputSize,
    scoringLayers: manifest.scoringLayers,
    positions: manifest.terms.map !== undefined,
  };
  return {
    ...assembleScorer(shape, manifest.terms, clonerTensors, manifest.tiling),
    manifest,
    version,
    selfTest: parseSelfTest(selfTestTensors, manifest),
    learned: LearnedImages.among(clonerTensors),
  };
}

/**
 * What a detector says of itself, and the version that follows from it.
 * @throws DetectorError when there is no manifest or it does not follow the schema.
 */
export async function readManifest(
  folder: string,
): Promise<{ readonly manifest: Manifest; readonly version: string }> {
  const path = join(folder, 'manifest.json');
  const text = await readFile(path, 'utf8').catch(async () => {
    const inside = (await detectorsIn(folder)).map((name) => join(folder, name));
    const hint = inside.length > 0 ? `; but ${inside.join(', ')}` : '';
    throw new DetectorError(`${folder} is no detector: there is no readable manifest.json${hint}`);
  });
  const manifest = parseManifest(text, path);
  return { manifest, version: versionOf(manifest) };
}

/**
 * A scorer from a cloner and how it is used.
 * @param cloner its tensors; where positions are compared also `expert.<layer>.mean` and `.deviation` of each scoring
 * layer, `map.mean` and `map.deviation`, and the same of each layer as `map.<layer>.mean`.
 * @throws DetectorError when its tensors do not fit its layout.
 */
export function assembleScorer(
  shape: ServingShape,
  terms: Terms,
  cloner: TensorMap,
  tiling?: Tiling,
): Scorer {
  const { layout, scoringLayers } = shape;
  checkCloner(layout, cloner);
  const vector = (numbers: readonly number[]) => float32([numbers.length], numbers);
  const offset = offsetOf(terms);
  return {
    shape,
    input: { inputSize: shape.inputSize, tiling },
    // The bytes of the file are not kept with them.
    feeds: compact({
      value_weights: vector(terms.value),
      direction_weights: vector(terms.direction),
      score_offset: float32([], [offset]),
      ...(terms.map ? positionFeeds(scoringLayers, terms.map, cloner) : {}),
      ...clonerFeeds(layout, cloner),
    }),
    layerFeeds: terms.map ? layerFeeds(scoringLayers, cloner) : {},
  };
}

/** What good images score before it is taken off. */
function offsetOf({ value, direction, typical, map }: Terms): number {
  const sum = (weights: readonly number[], discrepancies: readonly number[]): number =>
    weights.reduce((total, weight, layer) => total + weight * (discrepancies[layer] ?? 0), 0);
  return sum(value, typical.value) + sum(direction, typical.direction) + (map?.weight ?? 0) * typical.peak;
}

function positionFeeds(
  layers: readonly CriticalLayer[],
  map: NonNullable<Terms['map']>,
  tensors: TensorMap,
): Tensors {
  return {
    position_weights: float32([map.layers.length], map.layers),
    map_weight: float32([], [map.weight]),
    ...placeFeeds(tensors, 'map'),
    ...standardizationFeeds(layers, tensors),
  };
}

/**
 * The inputs `mean.<layer>` and `inverse_deviation.<layer>` of graphs that compare positions.
 * @param tensors `expert.<layer>.mean` and `expert.<layer>.deviation`.
 */
export function standardizationFeeds(layers: readonly CriticalLayer[], tensors: TensorMap): Tensors {
  const feeds: Record<string, Tensor> = {};
  for (const layer of layers) {
    const { data: mean } = floatTensor(tensors, `expert.${layer}.mean`);
    const { data: deviation } = floatTensor(tensors, `expert.${layer}.deviation`);
    feeds[`mean.${layer}`] = float32([mean.length], mean);
    feeds[`inverse_deviation.${layer}`] = float32(
      [deviation.length],
      deviation.map((value) => 1 / value),
    );
  }
  return feeds;
}

/** What good images show at each place of a map. */
function placeFeeds(tensors: TensorMap, map: string): Tensors {
  const [mean, deviation] = [floatTensor(tensors, `${map}.mean`), floatTensor(tensors, `${map}.deviation`)];
  return {
    map_mean: float32(mean.shape, mean.data),
    map_deviation: float32(deviation.shape, deviation.data),
  };
}

function layerFeeds(layers: readonly CriticalLayer[], tensors: TensorMap): Scorer['layerFeeds'] {
  const known = layers.filter((layer) => tensors.has(`map.${layer}.mean`));
  return Object.fromEntries(
    known.map((layer) => {
      const only = layers.map((other) => (other === layer ? 1 : 0));
      const weights = { position_weights: float32([layers.length], only) };
      return [layer, compact({ ...weights, ...placeFeeds(tensors, `map.${layer}`) })];
    }),
  );
}

/** A manifest without what only the written files can tell. */
export type ManifestDraft = Omit<Manifest, 'schema' | 'created' | 'cloner' | 'selfTest'> & {
  readonly cloner: Pick<Manifest['cloner'], 'layout'>;
};

/** What a new detector is written from. */
export interface DetectorParts {
  readonly manifest: ManifestDraft;
  readonly cloner: TensorMap;
  readonly selfTest: SelfTest;
}

/** Writes a detector. A detector that is there already is replaced once the new one is whole. */
export async function writeDetector(folder: string, parts: DetectorParts): Promise<Manifest> {
  const cloner = writeSafetensors(parts.cloner);
  const selfTest = writeSafetensors(selfTestTensors(parts.selfTest));
  const manifest: Manifest = {
    schema: 'mkd.detector/2',
    created: new Date().toISOString(),
    ...parts.manifest,
    cloner: { file: 'cloner.safetensors', sha256: hashOf(cloner), ...parts.manifest.cloner },
    selfTest: {
      file: 'self-test.safetensors',
      sha256: hashOf(selfTest),
      tolerance: selfTestTolerance,
    },
  };
  const target = resolve(folder);
  const fresh = `${target}.new`;
  await rm(fresh, { recursive: true, force: true });
  await mkdir(fresh, { recursive: true });
  await writeFile(join(fresh, manifest.cloner.file), cloner);
  await writeFile(join(fresh, manifest.selfTest.file), selfTest);
  await writeFile(join(fresh, 'manifest.json'), `${JSON.stringify(manifest, null, 2)}\n`);
  await rm(target, { recursive: true, force: true });
  await rename(fresh, target);
  return manifest;
}

/**
 * Writes a detector again with another calibration, as a version of today; cloner and self-test stay as they are.
 * @param out another folder for it; by default the detector itself is changed, in one step.
 */
export async function replaceCalibration(
  folder: string,
  calibration: Manifest['calibration'],
  out: string = folder,
): Promise<string> {
  const old = parseManifest(await readFile(join(folder, 'manifest.json'), 'utf8'), folder);
  const earlierVersions = [...(old.calibration.earlierVersions ?? []), versionOf(old)];
  const created = new Date().toISOString();
  const manifest: Manifest = { ...old, created, calibration: { ...calibration, earlierVersions } };
  if (resolve(out) !== resolve(folder)) {
    await checkTarget(out);
    await mkdir(out, { recursive: true });
    for (const { file } of [old.cloner, old.selfTest]) await copyFile(join(folder, file), join(out, file));
  }
  const path = join(out, 'manifest.json');
  await replaceFile(path, `${JSON.stringify(manifest, null, 2)}\n`);
  return versionOf(manifest);
}

/** @throws DetectorError when a new detector may not be written there. */
export async function checkTarget(folder: string): Promise<void> {
  if (!(await stat(folder).catch(() => undefined))) return;
  if (await isDetector(folder)) return;
  const inside = await detectorsIn(folder);
  throw new DetectorError(
    inside.length > 0
      ? `${folder} holds ${inside.join(', ')}; name a new folder inside of it, or elsewhere`
      : `${folder} exists and is no detector; name a new folder, or a detector to replace`,
  );
}

function versionOf({ cloner, calibration, terms, scoringLayers, tiling }: Manifest): string {
  const { earlierVersions: _, ...current } = calibration;
  const essence = JSON.stringify([cloner.sha256, current, terms, scoringLayers, tiling]);
  return hashOf(Buffer.from(essence)).slice(0, 12);
}

/** The inputs `cloner.<name>` of graphs with a cloner that no longer learns, its batch normalization folded in. */
export function clonerFeeds(layout: Layout, cloner: TensorMap): Tensors {
  const folded = foldBatchNormalization(layout, cloner);
  return Object.fromEntries(folded.map(({ name, shape, data }) => [`cloner.${name}`, float32(shape, data)]));
}

function hashOf(bytes: Uint8Array): string {
  return createHash('sha256').update(bytes).digest('hex');
}

async function readVerified(folder: string, entry: { file: string; sha256: string }): Promise<TensorMap> {
  const path = join(folder, entry.file);
  const bytes = await readFile(path).catch(() => {
    throw new DetectorError(`${path} cannot be read`);
  });
  const actual = hashOf(bytes);
  if (actual !== entry.sha256) {
    throw new DetectorError(
      `${path} is not the file of the manifest: SHA-256 ${actual}, wanted ${entry.sha256}`,
    );
  }
  try {
    return readSafetensors(bytes);
  } catch (error) {
    if (error instanceof SafetensorsError) throw new DetectorError(`${path}: ${error.message}`);
    throw error;
  }
}

function checkCloner(layout: Layout, cloner: TensorMap): void {
  for (const { name, shape } of [...trainableParameters(layout), ...runningStatistics(layout)]) {
    const tensor = cloner.get(name);
    if (tensor?.shape.join() === shape.join()) continue;
    const found = tensor ? `[${tensor.shape.join(', ')}]` : 'missing';
    throw new DetectorError(`the cloner's ${name} is ${found}; its layout says [${shape.join(', ')}]`);
  }
}

function selfTestTensors({ images, count, scores, value, direction, maps }: SelfTest): TensorMap {
  const size = Math.sqrt(images.length / count / 3);
  const layers = value.length / count;
  return new Map([
    ['images', { type: 'uint8', shape: [count, size, size, 3], data: images }],
    ['scores', { type: 'float32', shape: [count], data: scores }],
    ['value', { type: 'float32', shape: [count, layers], data: value }],
    ['direction', { type: 'float32', shape: [count, layers], data: direction }],
    ['maps', { type: 'float32', shape: [count, size, size], data: maps }],
  ]);
}

function parseSelfTest(tensors: TensorMap, { inputSize, scoringLayers }: Manifest): SelfTest {
  const images = tensors.get('images');
  const count = images?.shape[0] ?? 0;
  if (images?.type !== 'uint8' || count === 0 || images.data.length !== count * inputSize * inputSize * 3) {
    throw new DetectorError(`the self-test holds no images of ${inputSize} x ${inputSize}`);
  }
  const floats = (name: string, length: number): Float32Array => {
    const { data } = floatTensor(tensors, name);
    if (data.length === length) return data;
    throw new DetectorError(`the self-test's ${name} has ${data.length} entries; wanted ${length}`);
  };
  return {
    images: images.data,
    count,
    scores: floats('scores', count),
    value: floats('value', count * scoringLayers.length),
    direction: floats('direction', count * scoringLayers.length),
    maps: floats('maps', count * inputSize * inputSize),
  };
}
