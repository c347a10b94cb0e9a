/** People say whether verdicts are right: lines that `mkd calibrate --verdicts` reads, and good photos that a detector can learn from. */
import { download } from './download.js';
import { addCandidates, candidates, name, setAddition, startOver } from './make-job.js';
import { label, type Photo, photos, verdictOf } from './photos.js';

type Label = 'good' | 'anomalous';

const other: Readonly<Record<Label, Label>> = { good: 'anomalous', anomalous: 'good' };

export function Mark({ photo }: { readonly photo: Photo }) {
  const verdict = verdictOf(photo);
  if (!verdict) return null;
  const set = (wanted: Label): void => label(photo.id, photo.label === wanted ? undefined : wanted);
  return (
    <section class="panel" aria-label="Your verdict">
      <div class="bar">
        <span class="soft">Is this verdict right?</span>
        <span class="grow" />
        <fieldset class="seg plain" aria-label="Is this verdict right?">
          <button type="button" aria-pressed={photo.label === verdict} onClick={() => set(verdict)}>
            Right
          </button>
          <button
            type="button"
            aria-pressed={photo.label === other[verdict]}
            onClick={() => set(other[verdict])}
          >
            Wrong
          </button>
        </fieldset>
      </div>
    </section>
  );
}

/** What can be done with the photos that were marked. */
export function MarkedPhotos() {
  const marked = photos.value.filter((photo) => photo.label !== undefined);
  if (marked.length === 0) return null;
  const [first] = marked;
  const good = marked.filter(
    (photo) => photo.label === 'good' && photo.file && photo.detector === first?.detector,
  );
  return (
    <div class="bar">
      <span class="soft" role="status">
        {marked.length} {marked.length === 1 ? 'photo is' : 'photos are'} marked.
      </span>
      <span class="grow" />
      <button type="button" class="link" onClick={() => download('mkd-verdicts.jsonl', linesOf(marked))}>
        Download verdicts
      </button>
      {good.length > 0 && (
        <button type="button" class="link" onClick={() => addTo(first?.detector ?? '', good)}>
          Add {good.length === 1 ? 'the photo' : `the ${good.length} photos`} marked as good to{' '}
          {first?.detector}
        </button>
      )}
    </div>
  );
}

/** Returns lines as `mkd score --json` prints them, with labels. */
function linesOf(marked: readonly Photo[]): string {
  const lines = marked.flatMap(({ name: image, label, outcome }) => {
    if (outcome.state !== 'scored') return [];
    const { version, result } = outcome;
    const { score, threshold, verdict } = result;
    return [JSON.stringify({ image, version, score, threshold, verdict, label })];
  });
  return `${lines.join('\n')}\n`;
}

/** Goes on where photos are added to a detector. */
function addTo(detector: string, good: readonly Photo[]): void {
  if (candidates.value.length > 0) startOver();
  name.value = detector;
  setAddition(true);
  addCandidates(
    good.map((photo) => new File([photo.file as Blob], photo.name)),
    true,
  );
  location.hash = '#/make';
}
