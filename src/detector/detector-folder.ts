/**
 * A detector on disk: a folder with a manifest, the cloner's weights and a self-test. Reading checks schema and hashes.
 */
import { createHash } from 'node:crypto';
import { mkdtemp, readFile, readlink, rm, rmdir, stat } from 'node:fs/promises';
import { dirname, join, resolve } from 'node:path';
import { firstNames } from '../files/explain.js';
import { isFolder } from '../files/folders.js';
import { readText } from '../files/read-text.js';
import { replaceFile } from '../files/replace-file.js';
import { inTurn } from '../files/turns.js';
import { layersOf } from '../networks/index.js';
import { type TensorMap, writeSafetensors } from '../weights/safetensors.js';
import { type ClonerSpec, type LinearCloner, servedCloner } from './cloners/index.js';
import { DetectorError } from './detector-error.js';
import { type FileContents, manifestFile, placeDetector, replaceFiles } from './detector-files.js';
import { detectorsIn, isDetector } from './detectors-in.js';
import { findCard, modelsFolder } from './find-expert.js';
import { LearnedImages } from './learned-images.js';
import type { UnverifiedDetector } from './loaded-detector.js';
import { type Manifest, parseManifest } from './manifest.js';
import { meaningsOf } from './meanings.js';
import { readVerified } from './read-verified.js';
import { assembleScorer } from './scorer.js';
import { parseSelfTest, type SelfTest, selfTestTensors, selfTestTolerance } from './self-test.js';
import type { ServingShape } from './serving-model.js';

/**
 * Reads a detector.
 * @param expertFolders folders to search for its expert, after the models that ship with the package.
 * @throws DetectorError naming the file and what is wrong with it.
 */
export async function readDetector(
  folder: string,
  expertFolders: readonly string[] = [],
): Promise<UnverifiedDetector> {
  const { manifest, version } = await readManifest(folder);
  try {
    return await readContents(folder, manifest, version, expertFolders);
  } catch (error) {
    // The detector may have been replaced in the meantime, and its old weights removed.
    const now = await readManifest(folder);
    if (now.version === version && now.manifest.cloner.file === manifest.cloner.file) throw error;
    return readContents(folder, now.manifest, now.version, expertFolders);
  }
}

async function readContents(
  folder: string,
  manifest: Manifest,
  version: string,
  expertFolders: readonly string[],
): Promise<UnverifiedDetector> {
  const clonerTensors = await readVerified(folder, manifest.cloner);
  const selfTestTensors = await readVerified(folder, manifest.selfTest);
  const { path: expertCard, card } = await findCard(manifest.expert, expertFolders);
  const shape: ServingShape = {
    expertCard,
    cloner: clonerOf(manifest),
    inputSize: manifest.inputSize,
    scoringLayers: manifest.scoringLayers,
  };
  const scorer = await inTurn(() => assembleScorer(shape, manifest.terms, clonerTensors, manifest));
  const expertLayers = layersOf(card).map(({ name }) => name);
  return {
    ...scorer,
    manifest,
    meanings: meaningsOf(servedCloner(shape.cloner).depths(shape, expertLayers)),
    version,
    selfTest: parseSelfTest(selfTestTensors, manifest),
    learned: LearnedImages.among(clonerTensors),
  };
}

/** Reads the images that a detector was made from. @throws DetectorError if its files are damaged. */
export async function readLearnedImages(
  folder: string,
  manifest: Pick<Manifest, 'cloner'>,
): Promise<LearnedImages> {
  return LearnedImages.among(await readVerified(folder, manifest.cloner));
}

/**
 * Reads a detector's manifest and computes its version.
 * @throws DetectorError if there is no manifest or it does not match the schema.
 */
export async function readManifest(
  folder: string,
): Promise<{ readonly manifest: Manifest; readonly version: string }> {
  const path = join(folder, manifestFile);
  const text = await readText(path).catch(async () => {
    if (!(await stat(folder).catch(() => undefined))) {
      const embedded = (await detectorsIn(modelsFolder)).join(', ');
      throw new DetectorError(
        `there is no detector '${folder}': it is neither a folder nor an embedded detector (${embedded})`,
      );
    }
    const inside = (await detectorsIn(folder)).map((name) => join(folder, name));
    const hint = inside.length > 0 ? `; use ${firstNames(inside)}` : '';
    throw new DetectorError(`${folder} is not a detector: it has no readable manifest.json${hint}`);
  });
  const manifest = parseManifest(text, path);
  return { manifest, version: versionOf(manifest) };
}

/** Returns the linear cloner that a manifest describes. @throws DetectorError if its cloner is of another kind. */
export function linearClonerOf({ cloner }: Manifest): LinearCloner {
  if (!('spans' in cloner)) {
    throw new DetectorError('only a detector with a linear cloner can take photos later; distill it again');
  }
  const { kind, spans, windows, cells, local } = cloner;
  return { kind, spans, windows, cells, local };
}

/** Returns the cloner that a manifest describes. Manifests of convolutional ones may lack the kind. */
function clonerOf({ cloner }: Manifest): ClonerSpec {
  return 'layout' in cloner ? { kind: 'convolutional', layout: cloner.layout } : cloner;
}

/** A manifest without the entries that are set when the files are written. */
export type ManifestDraft = Omit<Manifest, 'schema' | 'created' | 'cloner' | 'selfTest'> & {
  readonly cloner: ClonerSpec;
};

/** The contents of a new detector. */
export interface DetectorParts {
  readonly manifest: ManifestDraft;
  readonly cloner: TensorMap;
  readonly selfTest: SelfTest;
}

/** Writes a detector. An existing detector is replaced once the new one is complete. @throws DetectorError if it is invalid. */
export async function writeDetector(folder: string, parts: DetectorParts): Promise<Manifest> {
  const cloner = writeSafetensors(parts.cloner);
  const selfTest = writeSafetensors(selfTestTensors(parts.selfTest, parts.manifest.inputSize));
  const manifest: Manifest = {
    schema: 'mkd.detector/2',
    created: new Date().toISOString(),
    ...parts.manifest,
    cloner: {
      ...(parts.manifest.cloner as Manifest['cloner']),
      file: 'cloner.safetensors',
      sha256: hashOf(cloner),
    },
    selfTest: {
      file: 'self-test.safetensors',
      sha256: hashOf(selfTest),
      tolerance: selfTestTolerance,
    },
  };
  // What could not be read again must not replace what can.
  parseManifest(manifestText(manifest), folder);
  return writeFiles(folder, manifest, cloner, selfTest);
}

/** Writes the files of a detector; an existing detector is replaced. @returns the manifest, with the files' names. */
async function writeFiles(
  folder: string,
  manifest: Manifest,
  cloner: Uint8Array,
  selfTest: Uint8Array,
): Promise<Manifest> {
  if (!(await isFolder(folder))) {
    await placeDetector(folder, filesOf(manifest, cloner, selfTest));
    return manifest;
  }
  const named = {
    ...manifest,
    cloner: { ...manifest.cloner, file: `cloner-${manifest.cloner.sha256.slice(0, 12)}.safetensors` },
    selfTest: {
      ...manifest.selfTest,
      file: `self-test-${manifest.selfTest.sha256.slice(0, 12)}.safetensors`,
    },
  };
  const fresh = `${resolve(folder)}.new`;
  try {
    await rm(fresh, { recursive: true, force: true });
    await placeDetector(fresh, filesOf(named, cloner, selfTest));
    await replaceFiles(fresh, folder);
  } finally {
    await rm(fresh, { recursive: true, force: true });
  }
  return named;
}

function filesOf(manifest: Manifest, cloner: Uint8Array, selfTest: Uint8Array): FileContents {
  return new Map<string, Uint8Array | string>([
    [manifest.cloner.file, cloner],
    [manifest.selfTest.file, selfTest],
    [manifestFile, manifestText(manifest)],
  ]);
}

function manifestText(manifest: Manifest): string {
  return `${JSON.stringify(manifest, null, 2)}\n`;
}

/**
 * Writes a detector with a new calibration, as a new version. Cloner and self-test do not change.
 * @param out folder of the result; by default the detector itself is changed, atomically.
 * @returns the new version.
 */
export async function replaceCalibration(
  folder: string,
  calibration: Manifest['calibration'],
  out: string = folder,
): Promise<string> {
  const old = parseManifest(await readText(join(folder, manifestFile)), folder);
  const earlierVersions = [...(old.calibration.earlierVersions ?? []), versionOf(old)];
  const created = new Date().toISOString();
  const manifest: Manifest = { ...old, created, calibration: { ...calibration, earlierVersions } };
  if (resolve(out) !== resolve(folder)) {
    await checkTarget(out);
    await writeFiles(out, manifest, ...(await weightsOf(folder, old)));
  } else {
    await replaceFile(join(folder, manifestFile), manifestText(manifest));
  }
  return versionOf(manifest);
}

/**
 * Replaces the files of a damaged detector with those of a copy, which the caller has verified.
 * @throws DetectorError if the copy is another version.
 */
export async function repairDetector(folder: string, copy: string): Promise<void> {
  const { manifest, version } = await readManifest(copy);
  const damaged = await readManifest(folder).catch(() => undefined);
  if (damaged !== undefined && damaged.version !== version) {
    throw new DetectorError(
      `${copy} is version ${version}, and ${folder} is version ${damaged.version}; wanted a copy of the same version`,
    );
  }
  await writeFiles(folder, manifest, ...(await weightsOf(copy, manifest)));
}

function weightsOf(folder: string, { cloner, selfTest }: Manifest): Promise<[Buffer, Buffer]> {
  return Promise.all([readFile(join(folder, cloner.file)), readFile(join(folder, selfTest.file))]);
}

/** Checks that a new detector can be written there. @throws DetectorError if not. */
export async function checkTarget(folder: string): Promise<void> {
  await checkWritable(folder);
  if (!(await stat(folder).catch(() => undefined))) {
    const target = await readlink(folder).catch(() => undefined);
    if (target === undefined) return;
    throw new DetectorError(
      `${folder} is a link to ${target}, which does not exist; remove it, or choose a new folder`,
    );
  }
  if (await isDetector(folder)) return;
  const inside = await detectorsIn(folder);
  throw new DetectorError(
    inside.length > 0
      ? `${folder} contains ${inside.join(', ')}; choose a new folder, inside it or elsewhere`
      : `${folder} exists and is not a detector; choose a new folder, or a detector to replace`,
  );
}

/** Checks that a folder can be created in the nearest existing parent. Missing folders are created later. */
async function checkWritable(folder: string): Promise<void> {
  let above = dirname(resolve(folder));
  for (; !(await stat(above).catch(() => undefined)); above = dirname(above));
  try {
    await rmdir(await mkdtemp(join(above, '.mkd-')));
  } catch {
    throw new DetectorError(
      `${folder} cannot be written: no folder can be created in ${above}; choose another folder`,
    );
  }
}

function versionOf({ cloner, calibration, terms, scoringLayers, tiling, range, fit }: Manifest): string {
  const { earlierVersions: _, ...current } = calibration;
  const versionInput = JSON.stringify([
    ...[cloner.sha256, current, terms, scoringLayers, tiling],
    // Only if there is one, so that versions of older detectors stay the same.
    ...[range, fit].filter((part) => part !== undefined),
  ]);
  return hashOf(Buffer.from(versionInput)).slice(0, 12);
}

function hashOf(bytes: Uint8Array): string {
  return createHash('sha256').update(bytes).digest('hex');
}
