/** All terms of a linear cloner fitted on good images, with or without those that the others do not explain. */
import { basename } from 'node:path';
import { type LinearCloner, NearCopies, spansOf, termNames } from '../../detector/index.js';
import { firstNames } from '../../files/explain.js';
import type { InputShape } from '../../imaging/index.js';
import { type ExpertCard, layersOf, type Span, spanName } from '../../networks/index.js';
import type { Device } from '../../runtime/index.js';
import type { ExpertFile } from '../cloner-training.js';
import { numbersOf } from '../groups.js';
import { type DistillOptions, DistillSettingsError } from '../settings.js';
import type { WholeRun } from '../whole-run.js';
import { proposeGroups } from './alike.js';
import type { Features } from './features.js';
import type { Photo } from './photos.js';
import { Products } from './products.js';
import { type FittedSpan, fitSpan } from './span-fit.js';
import { doubtfulOf, type ScaledTerms, termsOf } from './terms.js';
import { type FittedWindows, fitWindows } from './window-fit.js';

/** A photo, and the part that it shows, if several photos show the same. */
export type GoodPhoto = Photo & { readonly part?: string | undefined };

/** What a linear distillation works with. */
export interface LinearInputs {
  readonly options: DistillOptions;
  readonly cloner: LinearCloner;
  readonly input: InputShape;
  readonly expert: ExpertFile;
  readonly photos: readonly GoodPhoto[];
  /** Files left out because they are copies. */
  readonly copies: number;
  readonly device: Device;
  readonly whole: WholeRun;
}

/** Returns the number of the part that each photo shows; undefined if each shows another. */
export function groupsOf(photos: readonly GoodPhoto[]): number[] | undefined {
  const parts = photos.flatMap(({ part }) => (part === undefined ? [] : [part]));
  return parts.length === 0 ? undefined : numbersOf(parts);
}

/** All terms, fitted; scores and directions are those of images. */
export interface Fitted extends ScaledTerms {
  readonly fits: ReadonlyMap<string, FittedSpan>;
  readonly windows: FittedWindows;
  /** The image that each row shows, by its place among those that are kept. */
  readonly imageOf: readonly number[];
}

/** Fits all terms on some of the images. */
async function fitAll(
  products: Products,
  inputs: LinearInputs,
  features: Features,
  kept: readonly number[],
  report: (phase: 'scale', done: number, total: number) => void,
): Promise<Fitted> {
  const { cloner, expert, photos } = inputs;
  const places = new Map(kept.map((image, at) => [image, at]));
  const rows = [...features.imageOf.keys()].filter((row) => places.has(features.imageOf[row] as number));
  const of = <Some>(list: readonly Some[]): Some[] => rows.map((row) => list[row] as Some);
  const imagesOfRows = of(features.imageOf);
  // Tiles of one image are left out together, and so are images of one part.
  const groups = groupsOf(photos);
  const parts = imagesOfRows.map((image) => groups?.[image] ?? image);
  const spans = spansOf(cloner);
  const fits = new Map<string, FittedSpan>();
  for (const [index, span] of spans.entries()) {
    report('scale', index, spans.length);
    const vectors = features.vectors.get(spanName(span)) as readonly Float32Array[];
    fits.set(spanName(span), await fitSpan(products, of(vectors), span.components, parts));
  }
  report('scale', spans.length, spans.length);
  const channels = windowChannels(expert.card, cloner);
  const windows = await fitWindows(products, of(features.windows), channels, parts);
  const imageOf = imagesOfRows.map((image) => places.get(image) as number);
  const scaled = termsOf(cloner, fits, windows, imageOf);
  checkTerms(inputs, scaled);
  return { fits, windows, imageOf, ...scaled };
}

/** A term of photos that are all the same has a spread of 1e-6 at most. */
const largestWeight = 1e5;

/** @throws DistillSettingsError if the photos do not differ in a term, so that it has no scale. */
function checkTerms({ cloner, input }: LinearInputs, { terms }: ScaledTerms): void {
  const dead = termNames(cloner).filter((_, at) => !((terms.value[at] as number) < largestWeight));
  if (dead.length === 0) return;
  throw new DistillSettingsError(
    input.region
      ? `regionOfInterest: it is too small, the photos do not differ inside it (${dead.join(', ')}); wanted a region that is a fifth of the image wide and high, or more`
      : `the photos do not differ (${dead.join(', ')}); wanted photos of different parts`,
  );
}

/** Names the images that the others do not explain; they may show a defect. */
function warnOfDoubtful(
  { options, photos }: LinearInputs,
  doubtful: readonly number[],
  scores: readonly number[],
): void {
  const dropped = options.dropDoubtful ? 'dropped' : 'look at it; --drop-doubtful leaves it out';
  options.onDoubtful?.(
    doubtful.map((image) => ({ name: photos[image]?.name ?? '', score: scores[image] as number })),
  );
  for (const [rank, image] of doubtful.entries()) {
    const score = (scores[image] as number).toPrecision(3);
    options.onWarning?.(
      `${photos[image]?.name} is unlike the other good photos (score ${score}, ${rank + 1} of ${doubtful.length}): ${dropped}`,
      'doubtful',
    );
  }
}

/** Share of photos that may be near-copies before it is told. */
const nearCopyShare = 0.05;

/** Says so if several photos seem to show one part, and nothing was said of it. */
async function warnOfParts(
  { options, cloner, photos }: LinearInputs,
  products: Products,
  { imageOf, vectors, thumbnails }: Features,
): Promise<void> {
  const paths = photos.map(({ name }) => name);
  const groups = groupsOf(photos);
  const copies = new NearCopies(thumbnails, groups).among();
  if (copies.length > nearCopyShare * paths.length) {
    const names = firstNames(copies.map((photo) => basename(paths[photo] as string)));
    options.onWarning?.(
      `${copies.length} of the ${paths.length} photos are near-copies of others (${names}); if they show one part, ` +
        'the threshold is too low for new parts: name the parts with --group-by',
    );
  }
  if (groups || imageOf.length > paths.length) return;
  const coarsest = [...cloner.spans].sort((a, b) => a.grid - b.grid)[0] as Span;
  const found = await proposeGroups(products, paths, vectors.get(spanName(coarsest)) as Float32Array[]);
  if (!found) return;
  options.onWarning?.(
    `the ${paths.length} photos seem to show ${found.parts} parts, several photos each; pass --group-by '${found.pattern}', ` +
      'otherwise most new parts are called anomalous',
  );
}

/** Names doubtful images, and fits again without them if that is asked for. */
export async function fitWithoutDoubtful(
  inputs: LinearInputs,
  features: Features,
  report: (phase: 'scale', done: number, total: number) => void,
): Promise<Fitted & { readonly kept: readonly number[]; readonly doubtful: readonly number[] }> {
  const { options, photos, device } = inputs;
  const products = await Products.open(device);
  const fit = async (kept: readonly number[]) => ({
    kept,
    ...(await fitAll(products, inputs, features, kept, report)),
  });
  try {
    await warnOfParts(inputs, products, features);
    const all = await fit([...photos.keys()]);
    const doubtful = doubtfulOf(all.scores);
    warnOfDoubtful(inputs, doubtful, all.scores);
    if (!options.dropDoubtful || doubtful.length === 0) return { ...all, doubtful };
    return { ...(await fit(all.kept.filter((image) => !doubtful.includes(image)))), doubtful };
  } finally {
    await products.close();
  }
}

/** Returns the channels of each layer whose windows count. */
function windowChannels(card: ExpertCard, { windows }: LinearCloner): number[] {
  const layers = layersOf(card);
  return windows.layers.map((layer) => layers.find(({ name }) => name === layer)?.channels ?? 0);
}
