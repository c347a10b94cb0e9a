/** Detectors to try things with: the embedded one, and others that differ from it. */
import { cp, mkdir, readFile, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { buffer } from 'node:stream/consumers';
import { pack } from 'tar-stream';
import { type Manifest, modelsFolder, readManifest } from '../../src/detector/index.js';

const embedded = join(modelsFolder, 'sample');

/**
 * Copies the embedded detector.
 * @param raise added to its threshold, which makes another version of it.
 * @returns the version.
 */
export async function copyDetector(folder: string, raise = 0): Promise<string> {
  await mkdir(folder, { recursive: true });
  await cp(embedded, folder, { recursive: true });
  const path = join(folder, 'manifest.json');
  const manifest = JSON.parse(await readFile(path, 'utf8')) as Manifest;
  const { calibration } = manifest;
  const changed = { ...manifest, calibration: { ...calibration, threshold: calibration.threshold + raise } };
  await writeFile(path, JSON.stringify(changed));
  return (await readManifest(folder)).version;
}

/** The files of a detector, by name. */
export async function filesOf(folder: string): Promise<Record<string, Uint8Array>> {
  const names = ['manifest.json', 'cloner.safetensors', 'self-test.safetensors'];
  const contents = await Promise.all(names.map((name) => readFile(join(folder, name))));
  return Object.fromEntries(names.map((name, index) => [name, contents[index] as Uint8Array]));
}

/** A tar archive. */
export async function tarOf(files: Readonly<Record<string, Uint8Array>>): Promise<Buffer> {
  const archive = pack();
  for (const [name, bytes] of Object.entries(files)) archive.entry({ name }, Buffer.from(bytes));
  archive.finalize();
  return buffer(archive);
}
