/** Finds the expert a detector was distilled from, by fingerprint. */
import { readdir } from 'node:fs/promises';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { type ExpertCard, fingerprintOf, readExpertCard } from '../networks/index.js';
import { DetectorError } from './detector-error.js';
import type { Manifest } from './manifest.js';

/** The folder of models that ships with the package. */
export const modelsFolder = fileURLToPath(new URL('../../../models', import.meta.url));

const embedded = (name: string): string => join(modelsFolder, `${name}.json`);

/** The cards of the experts that ship with the package: the paper's, and one that takes a thirteenth of its time. */
export const embeddedExperts = {
  vgg16: embedded('vgg16-imagenet'),
  efficientNet: embedded('efficientnet-lite2-imagenet'),
} as const;

/** Returns the path of the card that is meant: the name of an embedded expert, or a path. @param usual if none is named. */
export function expertOf(nameOrPath: string | undefined, usual: string): string {
  if (nameOrPath === undefined) return usual;
  return Object.values(embeddedExperts).find((path) => path === embedded(nameOrPath)) ?? nameOrPath;
}

/** Returns the path of an expert's card. @throws DetectorError if no folder has a card with its fingerprint. */
export async function findExpert(wanted: Manifest['expert'], folders: readonly string[]): Promise<string> {
  return (await findCard(wanted, folders)).path;
}

/** Returns an expert's card, and its path. @throws DetectorError as {@link findExpert} does. */
export async function findCard(
  wanted: Manifest['expert'],
  folders: readonly string[],
): Promise<{ readonly path: string; readonly card: ExpertCard }> {
  const searched = [modelsFolder, ...folders];
  for (const folder of searched) {
    const names = await readdir(folder).catch(() => []);
    for (const name of names.filter((file) => file.endsWith('.json'))) {
      // Other JSON files, such as a detector's manifest, are not cards.
      const path = join(folder, name);
      const card = await readExpertCard(path).catch(() => undefined);
      if (card && fingerprintOf(card) === wanted.fingerprint) return { path, card };
    }
  }
  throw new DetectorError(
    `the detector's expert '${wanted.name}' (${wanted.fingerprint.slice(0, 12)}) is not in ${searched.join(', ')}; ` +
      'import it with `mkd expert import` and pass its folder with --experts',
  );
}
