/**
 * Cross-fitting: with few images, none is held back for the threshold. Images are dealt into folds. For each fold a cloner
 * learns from all others and scores it; then the detector's own cloner learns from every image. Scores are in deviations
 * of what each cloner learned from, which makes them comparable. The promised false-alarm rate holds about as with images
 * held back, and in the worst case at twice the rate (Barber et al. 2021, theorem 4).
 */
import { readFile } from 'node:fs/promises';
import { join } from 'node:path';
import type { GoodImages } from '../detector/index.js';
import { explain } from '../files/explain.js';
import { makeFolder } from '../files/folders.js';
import { replaceFile } from '../files/replace-file.js';
import { CheckpointError, type CheckpointSettings, checkSettings } from './checkpoint.js';

/** What the cloner of a fold found on the images it had not learned from. */
export interface FoldResult {
  readonly good: GoodImages;
  readonly heldBackLoss: number;
  /** All the result depends on. */
  readonly settings: CheckpointSettings;
}

const file = 'folds.json';

/** Results of the folds that are finished, of an interrupted run; none where there was none. */
export async function readFolds(checkpoint: string): Promise<FoldResult[]> {
  const path = join(checkpoint, file);
  const text = await readFile(path, 'utf8').catch((error: NodeJS.ErrnoException) => {
    if (error.code === 'ENOENT') return '[]';
    throw new CheckpointError(`the folds found so far cannot be read: ${explain(error, path)}`);
  });
  const folds = parsed(text);
  if (Array.isArray(folds)) return folds as FoldResult[];
  throw new CheckpointError(`${path} is no list of folds; remove it to find them anew`);
}

function parsed(text: string): unknown {
  try {
    return JSON.parse(text);
  } catch {
    return undefined;
  }
}

export async function writeFolds(checkpoint: string, results: readonly FoldResult[]): Promise<void> {
  await makeFolder(checkpoint);
  const path = join(checkpoint, file);
  await replaceFile(path, JSON.stringify(results));
}

/** Where the checkpoint of a fold's cloner is kept. */
export function foldFolder(checkpoint: string, fold: number): string {
  return join(checkpoint, `fold-${fold}`);
}

/** @throws CheckpointError when one was found with other settings or data. */
export function checkFolds(results: readonly FoldResult[], settings: CheckpointSettings): void {
  for (const result of results) checkSettings(result.settings, settings);
}

/** Joins what all folds found: every image's score, and the mean of what their maps stay below. */
export function joinedFolds(results: readonly FoldResult[]): GoodImages & { readonly heldBackLoss: number } {
  const [first] = results;
  if (!first) throw new RangeError('there are no folds');
  const mean = (of: (result: FoldResult) => number): number =>
    results.reduce((sum, result) => sum + of(result), 0) / results.length;
  const means = <Names extends Record<string, number | undefined>>(of: (good: GoodImages) => Names): Names =>
    Object.fromEntries(
      Object.keys(of(first.good)).map((name) => [name, mean(({ good }) => of(good)[name] ?? 0)]),
    ) as Names;
  const layers = Object.keys(first.good.directions);
  const direction = (layer: string): number[] =>
    results.flatMap(({ good }) => good.directions[layer] ?? []).sort((a, b) => a - b);
  return {
    scores: results.flatMap(({ good }) => good.scores),
    directions: Object.fromEntries(layers.map((layer) => [layer, direction(layer)])),
    mapThresholds: means(({ mapThresholds }) => mapThresholds),
    ...(first.good.layerMapThresholds
      ? { layerMapThresholds: means(({ layerMapThresholds = {} }) => layerMapThresholds) }
      : {}),
    heldBackLoss: mean(({ heldBackLoss }) => heldBackLoss),
  };
}
