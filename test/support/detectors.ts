/** Test detectors: the embedded one and variants of it. */
import { cp, mkdir, readFile, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { buffer } from 'node:stream/consumers';
import { pack } from 'tar-stream';
import { detectorFiles, type Manifest, modelsFolder, readManifest } from '../../src/detector/index.js';

const embedded = join(modelsFolder, 'sample');

/** Returns the manifest of the embedded detector with a higher threshold, which makes it another version. */
export async function manifestWithThreshold(raise: number): Promise<Buffer> {
  const manifest = JSON.parse(await readFile(join(embedded, 'manifest.json'), 'utf8')) as Manifest;
  const { calibration } = manifest;
  const threshold = calibration.threshold + raise;
  return Buffer.from(JSON.stringify({ ...manifest, calibration: { ...calibration, threshold } }));
}

/**
 * Copies the embedded detector.
 * @param raise added to its threshold.
 * @returns the version.
 */
export async function copyDetector(folder: string, raise = 0): Promise<string> {
  await mkdir(folder, { recursive: true });
  await cp(embedded, folder, { recursive: true });
  await writeFile(join(folder, 'manifest.json'), await manifestWithThreshold(raise));
  return (await readManifest(folder)).version;
}

/** Reads the files of a detector, by name. */
export async function filesOf(folder: string = embedded): Promise<Record<string, Uint8Array>> {
  const contents = await Promise.all(detectorFiles.map((name) => readFile(join(folder, name))));
  return Object.fromEntries(detectorFiles.map((name, index) => [name, contents[index] as Uint8Array]));
}

/** Packs files into a tar archive. */
export async function tarOf(files: Readonly<Record<string, Uint8Array>>): Promise<Buffer> {
  const archive = pack();
  for (const [name, bytes] of Object.entries(files)) archive.entry({ name }, Buffer.from(bytes));
  archive.finalize();
  return buffer(archive);
}
