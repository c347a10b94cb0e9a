/** Pictures in a report: the photos that say most about a detector. */
import { readFile } from 'node:fs/promises';
import type { UnverifiedDetector } from '../detector/index.js';
import type { EvaluationReport } from '../evaluation/index.js';
import { asSeen, defaultImageLimits, maskPicture, preview } from '../imaging/index.js';
import { DirectInference, methodFor, type ScoringEngine, ScoringPipeline } from '../scoring/index.js';

type Scored = EvaluationReport['scores'][number];

/** Photos of each group. */
const most = 6;

/** Longer side of a picture, pixels. */
const side = 220;

export interface Pictures {
  readonly image: Scored;
  /** Addresses of the photo, of the photo with its heatmap, and of its mask if there is one. */
  readonly urls: readonly string[];
}

export interface Group {
  readonly title: string;
  readonly about: string;
  readonly images: readonly Scored[];
}

/** Chooses the photos to show. */
export function groupsOf({ scores, threshold }: EvaluationReport): Group[] {
  const defective = scores.filter(({ anomalous }) => anomalous).sort((a, b) => a.score - b.score);
  const good = scores.filter(({ anomalous }) => !anomalous).sort((a, b) => b.score - a.score);
  const near = [...scores].sort((a, b) => Math.abs(a.score - threshold) - Math.abs(b.score - threshold));
  const groups = [
    {
      title: 'Defects with the lowest scores',
      about: 'What is missed, or nearly. Is the defect visible, and does the map find it?',
      images: defective.slice(0, most),
    },
    {
      title: 'Good parts with the highest scores',
      about: 'False alarms, or nearly. Is something on them that the good photos never showed?',
      images: good.slice(0, most),
    },
    {
      title: 'Nearest to the threshold',
      about: 'Verdicts that a small change would turn.',
      images: near.slice(0, most),
    },
    {
      title: 'Defects with the highest scores',
      about: 'What is found most easily.',
      images: defective.slice(-most).reverse(),
    },
  ];
  return groups.filter(({ images }) => images.length > 0);
}

/** Draws the photos of all groups once each. @param masksOf returns the masks of an image, by its path. */
export async function picturesOf(
  engine: ScoringEngine,
  detector: UnverifiedDetector,
  groups: readonly Group[],
  masksOf: ReadonlyMap<string, readonly string[]>,
): Promise<ReadonlyMap<string, Pictures>> {
  const pipeline = new ScoringPipeline(new DirectInference(engine));
  const drawn = new Map<string, Pictures>();
  for (const image of groups.flatMap(({ images }) => images)) {
    if (drawn.has(image.path)) continue;
    const bytes = await readFile(image.path);
    const { localization } = await pipeline.score({ detector, image: bytes }, { map: methodFor(detector) });
    const photo = await asSeen(bytes, detector.input.range, defaultImageLimits);
    const [mask] = masksOf.get(image.path) ?? [];
    const pictures = [
      photo,
      ...(localization ? [await localization.artifact('overlay')] : []),
      ...(mask === undefined ? [] : [await maskPicture(await readFile(mask), side)]),
    ];
    const urls = await Promise.all(pictures.map(async (picture) => urlOf(await preview(picture, side))));
    drawn.set(image.path, { image, urls });
  }
  return drawn;
}

function urlOf(webp: Buffer): string {
  return `data:image/webp;base64,${webp.toString('base64')}`;
}

export function Gallery({
  group: { title, about, images },
  pictures,
}: {
  readonly group: Group;
  readonly pictures: ReadonlyMap<string, Pictures>;
}) {
  return (
    <section class="panel">
      <h2>{title}</h2>
      <p class="soft">{about}</p>
      <div class="gallery">
        {images.map(({ path, kind, score, verdict }) => (
          <figure key={path}>
            <div>
              {pictures.get(path)?.urls.map((url, index) => (
                <img key={url} src={url} alt={['photo', 'heatmap', 'mask'][index] ?? ''} />
              ))}
            </div>
            <figcaption>
              <span class={verdict}>{score.toPrecision(4)}</span> {kind}: {path}
            </figcaption>
          </figure>
        ))}
      </div>
    </section>
  );
}
