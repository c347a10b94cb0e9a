/** The photos of this visit, and how they are scored: a few at a time, in order. */
import { computed, signal } from '@preact/signals';
import { verdictOf as judged, type Verdict } from '../detector/conformal.js';
import { api, RequestError, type Result } from './api.js';
import { thumbnailOf } from './thumbnails.js';

export interface Photo {
  readonly id: number;
  readonly name: string;
  /** Undefined for a result that was opened by its link: the service keeps no photos. */
  readonly file: Blob | undefined;
  /** Address of the photo in the page; undefined if the browser cannot show its format. */
  readonly url: string | undefined;
  readonly thumbnail: string | undefined;
  readonly detector: string;
  /** What a person says. */
  readonly label?: Verdict | undefined;
  readonly outcome:
    | { readonly state: 'waiting' | 'scoring' }
    | { readonly state: 'scored'; readonly result: Result; readonly version: string }
    | { readonly state: 'failed'; readonly message: string };
}

export type Filter = 'all' | 'anomalous' | 'good' | 'failed';

export const photos = signal<readonly Photo[]>([]);
export const selectedId = signal<number | undefined>(undefined);
export const filter = signal<Filter>('all');
/** Only photos that this detector scored are shown. */
export const shownDetector = signal<string | undefined>(undefined);
/** Only photos that score at least this much are shown. */
export const leastScore = signal<number | undefined>(undefined);
/** The detector for the photos to come. */
export const detectorName = signal('');
/** A threshold to try out, for the detector that is chosen; undefined for its own. */
export const trialThreshold = signal<number | undefined>(undefined);

export const selected = computed(() => photos.value.find(({ id }) => id === selectedId.value));

/** The verdict with the threshold that is tried out. */
export function verdictOf({ outcome }: Photo): Verdict | undefined {
  if (outcome.state !== 'scored') return undefined;
  return judged(outcome.result.score, trialThreshold.value ?? outcome.result.threshold);
}

export function isOfKind(photo: Photo, kind: Filter): boolean {
  if (kind === 'all') return true;
  return kind === 'failed' ? photo.outcome.state === 'failed' : verdictOf(photo) === kind;
}

/** The photos that all filters let through. */
export const shown = computed(() => {
  const [kind, by, least] = [filter.value, shownDetector.value, leastScore.value];
  return photos.value.filter(
    (photo) =>
      isOfKind(photo, kind) &&
      (by === undefined || photo.detector === by) &&
      (least === undefined || (photo.outcome.state === 'scored' && photo.outcome.result.score >= least)),
  );
});

/** Requests at the same time: enough to keep a service busy, few enough to leave it to others. */
const atOnce = 4;
/** How often a photo is sent again if the service is full. */
const mostTries = 5;

let lastId = 0;
let working = 0;

export function addPhotos(files: readonly { readonly name: string; readonly blob: Blob }[]): void {
  const added = files.map(
    ({ name, blob }): Photo => ({
      id: ++lastId,
      name,
      file: blob,
      url: URL.createObjectURL(blob),
      thumbnail: undefined,
      detector: detectorName.value,
      outcome: { state: 'waiting' },
    }),
  );
  photos.value = [...photos.value, ...added];
  if (selected.value === undefined || selected.value.outcome.state !== 'waiting') {
    selectedId.value = added[0]?.id ?? selectedId.value;
  }
  work();
}

/** Shows a result of the service that has been scored before. */
export async function openResult(id: string): Promise<void> {
  const known = photos.value.find(({ outcome }) => outcome.state === 'scored' && outcome.result.id === id);
  if (known) {
    selectedId.value = known.id;
    return;
  }
  const { detector, version, result } = await api.result(id);
  const photo: Photo = {
    id: ++lastId,
    name: result.name ?? id,
    file: undefined,
    url: undefined,
    thumbnail: undefined,
    detector,
    outcome: { state: 'scored', result, version },
  };
  // What is added next is of the same parts.
  detectorName.value = detector;
  photos.value = [...photos.value, photo];
  selectedId.value = photo.id;
  const thumbnail = await api.file(result.links.photo).then(thumbnailOf, () => undefined);
  if (thumbnail) change(photo.id, { thumbnail });
}

/** Scores photos again, for example by another detector. */
export function scoreAgain(which: (photo: Photo) => boolean): void {
  photos.value = photos.value.map((photo) =>
    photo.file && which(photo)
      ? { ...photo, detector: detectorName.value, outcome: { state: 'waiting' } }
      : photo,
  );
  work();
}

export function removeAll(): void {
  for (const { url, thumbnail } of photos.value) {
    if (url) URL.revokeObjectURL(url);
    if (thumbnail) URL.revokeObjectURL(thumbnail);
  }
  photos.value = [];
  selectedId.value = undefined;
  shownDetector.value = undefined;
  leastScore.value = undefined;
}

/**
 * Judges the photos of a detector by its new threshold.
 * @param before the version that scored them, @param after the one with this threshold, which scores the same.
 */
export function applyThreshold(
  detector: string,
  threshold: number,
  before: string | undefined,
  after: string,
): void {
  photos.value = photos.value.map((photo) => {
    const { outcome } = photo;
    if (photo.detector !== detector || outcome.state !== 'scored' || outcome.version !== before) return photo;
    const verdict = judged(outcome.result.score, threshold);
    const result = { ...outcome.result, threshold, verdict };
    return { ...photo, outcome: { ...outcome, result, version: after } };
  });
}

/** Selects the photo before or after the selected one, among those that are shown. */
export function step(by: 1 | -1): void {
  const list = shown.value;
  const at = list.findIndex(({ id }) => id === selectedId.value);
  const next = list[Math.min(list.length - 1, Math.max(0, at + by))];
  if (next) selectedId.value = next.id;
}

/** Keeps what a person says of a photo. */
export function label(id: number, says: Verdict | undefined): void {
  change(id, { label: says });
}

function change(id: number, changes: Partial<Photo>): void {
  photos.value = photos.value.map((photo) => (photo.id === id ? { ...photo, ...changes } : photo));
}

function work(): void {
  while (working < atOnce) {
    const next = photos.value.find(({ outcome }) => outcome.state === 'waiting');
    if (!next) return;
    change(next.id, { outcome: { state: 'scoring' } });
    working++;
    void score(next).finally(() => {
      working--;
      work();
    });
  }
}

async function score(photo: Photo): Promise<void> {
  if (!photo.file) return;
  if (!photo.thumbnail) {
    const thumbnail = await thumbnailOf(photo.file);
    // Without one, the browser cannot show the format.
    change(photo.id, { thumbnail, ...(thumbnail === undefined ? { url: undefined } : {}) });
  }
  try {
    const { version, results } = await patiently(() =>
      api.localize(photo.detector, photo.name, photo.file as Blob),
    );
    const [result] = results;
    if (!result || 'error' in result) throw new RequestError(0, 'The answer has no result.');
    change(photo.id, { outcome: { state: 'scored', result, version } });
  } catch (error) {
    change(photo.id, { outcome: { state: 'failed', message: (error as Error).message } });
  }
}

/** Sends again, after the time that the service names, if it is full. */
async function patiently<Answer>(send: () => Promise<Answer>): Promise<Answer> {
  for (let tries = 1; ; tries++) {
    try {
      return await send();
    } catch (error) {
      const wait = error instanceof RequestError ? error.retryAfterMs : undefined;
      if (wait === undefined || tries >= mostTries) throw error;
      await new Promise((resolve) => setTimeout(resolve, wait));
    }
  }
}
