/** All terms of a linear cloner fitted on good images, with or without those that the others do not explain. */
import { type LinearCloner, spansOf } from '../../detector/index.js';
import type { InputShape } from '../../imaging/index.js';
import { type ExpertCard, layersOf, spanName } from '../../networks/index.js';
import type { Device } from '../../runtime/index.js';
import type { ExpertFile, ImageFiles } from '../cloner-training.js';
import type { DistillOptions } from '../settings.js';
import type { WholeRun } from '../whole-run.js';
import type { Features } from './features.js';
import type { LinearRecipe } from './linear-recipe.js';
import { type FittedSpan, fitSpan } from './span-fit.js';
import { doubtfulOf, type ScaledTerms, termsOf } from './terms.js';
import { type FittedWindows, fitWindows } from './window-fit.js';

/** What a linear distillation works with. */
export interface LinearInputs {
  readonly options: DistillOptions;
  readonly recipe: LinearRecipe;
  readonly input: InputShape;
  readonly expert: ExpertFile;
  readonly images: ImageFiles;
  readonly device: Device;
  readonly whole: WholeRun;
}

/** All terms, fitted. */
export interface Fitted extends ScaledTerms {
  readonly fits: ReadonlyMap<string, FittedSpan>;
  readonly windows: FittedWindows;
}

/** Fits all terms on some of the images. */
function fitAll(
  { cloner }: LinearRecipe,
  features: Features,
  kept: readonly number[],
  channels: readonly number[],
  { groups }: ImageFiles,
  report: (phase: 'scale', done: number, total: number) => void,
): Fitted {
  const of = <Some>(list: readonly Some[]): Some[] => kept.map((image) => list[image] as Some);
  const parts = groups && of(groups);
  const spans = spansOf(cloner);
  const fits = new Map<string, FittedSpan>();
  for (const [index, span] of spans.entries()) {
    report('scale', index, spans.length);
    const vectors = features.vectors.get(spanName(span)) as readonly Float32Array[];
    fits.set(spanName(span), fitSpan(of(vectors), span.components, parts));
  }
  report('scale', spans.length, spans.length);
  const windows = fitWindows(of(features.windows), channels, parts);
  return { fits, windows, ...termsOf(cloner, fits, windows) };
}

/** Names the images that the others do not explain; they may show a defect. */
function warnOfDoubtful(
  { options, images }: LinearInputs,
  doubtful: readonly number[],
  scores: readonly number[],
): void {
  const dropped = options.dropDoubtful ? 'dropped' : 'look at it; --drop-doubtful leaves it out';
  for (const [rank, image] of doubtful.entries()) {
    const score = (scores[image] as number).toPrecision(3);
    options.onWarning?.(
      `${images.paths[image]} is unlike the other good photos (score ${score}, ${rank + 1} of ${doubtful.length}): ${dropped}`,
    );
  }
}

/** Names doubtful images, and fits again without them if that is asked for. */
export function fitWithoutDoubtful(
  inputs: LinearInputs,
  features: Features,
  report: (phase: 'scale', done: number, total: number) => void,
): Fitted & { readonly kept: readonly number[] } {
  const { options, recipe, expert, images } = inputs;
  const channels = windowChannels(expert.card, recipe.cloner);
  const fit = (kept: readonly number[]) => ({
    kept,
    ...fitAll(recipe, features, kept, channels, images, report),
  });
  const all = fit([...images.paths.keys()]);
  const doubtful = doubtfulOf(all.scores);
  warnOfDoubtful(inputs, doubtful, all.scores);
  if (!options.dropDoubtful || doubtful.length === 0) return all;
  return fit(all.kept.filter((image) => !doubtful.includes(image)));
}

/** Returns the channels of each layer whose windows count. */
function windowChannels(card: ExpertCard, { windows }: LinearCloner): number[] {
  const layers = layersOf(card);
  return windows.layers.map((layer) => layers.find(({ name }) => name === layer)?.channels ?? 0);
}
