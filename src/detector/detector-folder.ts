/**
 * A detector as a folder, the whole truth of it: `manifest.json`, `cloner.safetensors` and
 * `self-test.safetensors`. Reading checks schema and hashes; writing replaces the folder as a whole.
 */
import { createHash } from 'node:crypto';
import { copyFile, mkdtemp, readFile, rename, rm, rmdir, stat, writeFile } from 'node:fs/promises';
import { dirname, join, resolve } from 'node:path';
import { firstOf } from '../files/explain.js';
import { makeFolder } from '../files/folders.js';
import { replaceFile } from '../files/replace-file.js';
import {
  floatTensor,
  readSafetensors,
  SafetensorsError,
  type TensorMap,
  writeSafetensors,
} from '../weights/safetensors.js';
import { detectorsIn, isDetector } from './detectors-in.js';
import { findExpert, modelsFolder } from './find-expert.js';
import { LearnedImages } from './learned-images.js';
import type { UnverifiedDetector } from './loaded-detector.js';
import { DetectorError, type Manifest, parseManifest } from './manifest.js';
import { assembleScorer } from './scorer.js';
import { type SelfTest, selfTestTolerance } from './self-test.js';
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
    neighbors: manifest.terms.neighbors !== undefined,
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
    if (!(await stat(folder).catch(() => undefined))) {
      const embedded = (await detectorsIn(modelsFolder)).join(', ');
      throw new DetectorError(
        `there is no detector '${folder}': neither a folder, nor one that is embedded (${embedded})`,
      );
    }
    const inside = (await detectorsIn(folder)).map((name) => join(folder, name));
    const hint = inside.length > 0 ? `; but ${firstOf(inside)}` : '';
    throw new DetectorError(`${folder} is no detector: there is no readable manifest.json${hint}`);
  });
  const manifest = parseManifest(text, path);
  return { manifest, version: versionOf(manifest) };
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
  await replaceFolder(folder, async (fresh) => {
    await writeFile(join(fresh, manifest.cloner.file), cloner);
    await writeFile(join(fresh, manifest.selfTest.file), selfTest);
    await writeFile(join(fresh, 'manifest.json'), manifestText(manifest));
  });
  return manifest;
}

/** Puts a folder in the place of another once it is whole; where it cannot be written nothing is left of it. */
async function replaceFolder(folder: string, write: (fresh: string) => Promise<void>): Promise<void> {
  const target = resolve(folder);
  const fresh = `${target}.new`;
  try {
    await rm(fresh, { recursive: true, force: true });
    await makeFolder(fresh);
    await write(fresh);
    await rm(target, { recursive: true, force: true });
    await rename(fresh, target);
  } catch (error) {
    await rm(fresh, { recursive: true, force: true });
    throw error;
  }
}

function manifestText(manifest: Manifest): string {
  return `${JSON.stringify(manifest, null, 2)}\n`;
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
    await replaceFolder(out, async (fresh) => {
      for (const { file } of [old.cloner, old.selfTest])
        await copyFile(join(folder, file), join(fresh, file));
      await writeFile(join(fresh, 'manifest.json'), manifestText(manifest));
    });
  } else {
    await replaceFile(join(folder, 'manifest.json'), manifestText(manifest));
  }
  return versionOf(manifest);
}

/** @throws DetectorError when a new detector may not, or cannot, be written there. */
export async function checkTarget(folder: string): Promise<void> {
  await checkWritable(folder);
  if (!(await stat(folder).catch(() => undefined))) return;
  if (await isDetector(folder)) return;
  const inside = await detectorsIn(folder);
  throw new DetectorError(
    inside.length > 0
      ? `${folder} holds ${inside.join(', ')}; name a new folder inside of it, or elsewhere`
      : `${folder} exists and is no detector; name a new folder, or a detector to replace`,
  );
}

/** Whether the folder that is there already, of those above, takes another. Making the others is for later. */
async function checkWritable(folder: string): Promise<void> {
  let above = dirname(resolve(folder));
  for (; !(await stat(above).catch(() => undefined)); above = dirname(above));
  try {
    await rmdir(await mkdtemp(join(above, '.mkd-')));
  } catch {
    throw new DetectorError(`${folder} cannot be written: ${above} is no folder that takes new ones`);
  }
}

function versionOf({ cloner, calibration, terms, scoringLayers, tiling }: Manifest): string {
  const { earlierVersions: _, ...current } = calibration;
  const essence = JSON.stringify([cloner.sha256, current, terms, scoringLayers, tiling]);
  return hashOf(Buffer.from(essence)).slice(0, 12);
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
