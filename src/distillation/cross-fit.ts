/**
 * Cross-fitting: calibration without holding back images, for small data sets. Images are divided into folds. For each
 * fold, a cloner is trained on the other folds and scores it; then the detector's own cloner is trained on all images.
 * Scores are in deviations over each cloner's training images, which makes them comparable. The false-alarm rate holds
 * about as well as with images held back; in the worst case it doubles (Barber et al. 2021, theorem 4).
 */
import { readFile } from 'node:fs/promises';
import { join } from 'node:path';
import type { GoodImages } from '../detector/index.js';
import { describeError } from '../files/explain.js';
import { makeFolder } from '../files/folders.js';
import { replaceFile } from '../files/replace-file.js';
import { CheckpointError, type CheckpointSettings, checkSettings } from './checkpoint.js';

/** Results of a fold's cloner on the images it was not trained on. */
export interface FoldResult {
  readonly good: GoodImages;
  readonly heldBackLoss: number;
  /** All settings that the result depends on. */
  readonly settings: CheckpointSettings;
}

const file = 'folds.json';

/** Reads the results of the folds that an interrupted run finished; empty if there are none. */
export async function readFolds(checkpoint: string): Promise<FoldResult[]> {
  const path = join(checkpoint, file);
  const text = await readFile(path, 'utf8').catch((error: NodeJS.ErrnoException) => {
    if (error.code === 'ENOENT') return '[]';
    throw new CheckpointError(`the results of the folds cannot be read: ${describeError(error, path)}`);
  });
  const folds = parsed(text);
  if (Array.isArray(folds)) return folds as FoldResult[];
  throw new CheckpointError(`${path} is not a list of fold results; remove it to compute them again`);
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

/** Returns the checkpoint folder of a fold's cloner. */
export function foldFolder(checkpoint: string, fold: number): string {
  return join(checkpoint, `fold-${fold}`);
}

/** @throws CheckpointError if a fold was computed with other settings or data. */
export function checkFolds(results: readonly FoldResult[], settings: CheckpointSettings): void {
  for (const result of results) checkSettings(result.settings, settings);
}

/** Joins the results of all folds: every image's score, and the means of the map thresholds. */
export function joinFolds(results: readonly FoldResult[]): GoodImages & { readonly heldBackLoss: number } {
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
    heldBackLoss: mean(({ heldBackLoss }) => heldBackLoss),
  };
}
