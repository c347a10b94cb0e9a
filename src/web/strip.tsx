/** All photos of this visit, with their verdicts. */
import { useEffect, useRef } from 'preact/hooks';
import { download } from './download.js';
import { MarkedPhotos } from './marks.js';
import { short } from './numbers.js';
import {
  type Filter,
  filter,
  isOfKind,
  leastScore,
  type Photo,
  photos,
  removeAll,
  selectedId,
  shown,
  shownDetector,
  verdictOf,
} from './photos.js';

const filters: readonly (readonly [Filter, string])[] = [
  ['all', 'All'],
  ['anomalous', 'Anomalous'],
  ['good', 'Good'],
  ['failed', 'Not scored'],
];

/** Whether a filter has something to show; the one that is chosen stays. */
function isUseful([kind]: readonly [Filter, string]): boolean {
  return kind !== 'failed' || filter.value === kind || count(kind) > 0;
}

function count(kind: Filter): number {
  return photos.value.filter((photo) => isOfKind(photo, kind)).length;
}

function save(): void {
  const results = photos.value.map(({ name, detector, outcome }) =>
    outcome.state === 'scored'
      ? { ...outcome.result, name, detector, version: outcome.version }
      : { name, detector, ...outcome },
  );
  download('mkd-results.json', JSON.stringify(results, null, 2));
}

async function saveReport(): Promise<void> {
  const { resultsReport } = await import('./results-report.js');
  const report = await resultsReport(shown.value);
  download('mkd-report.html', new Blob([report], { type: 'text/html' }));
}

export function Strip() {
  return (
    <>
      <div class="bar">
        <fieldset class="seg plain" aria-label="Photos that are shown">
          {filters.filter(isUseful).map(([kind, word]) => (
            <button
              key={kind}
              type="button"
              aria-pressed={filter.value === kind}
              onClick={() => (filter.value = kind)}
            >
              {word} {count(kind)}
            </button>
          ))}
        </fieldset>
        <Narrow />
        <span class="grow" />
        <span class="soft">Download</span>
        <button type="button" class="link" aria-label="Download JSON" onClick={save}>
          JSON
        </button>
        <button type="button" class="link" aria-label="Download report" onClick={() => void saveReport()}>
          Report
        </button>
        <button type="button" class="link" onClick={removeAll}>
          Remove all
        </button>
      </div>
      <MarkedPhotos />
      <ul class="strip" aria-label="Photos">
        {shown.value.map((photo) => (
          <Thumbnail key={photo.id} photo={photo} />
        ))}
      </ul>
      {shown.value.length === 0 && <p class="soft">No photo of this kind.</p>}
    </>
  );
}

/** Filters by detector, if there are several, and by score. */
function Narrow() {
  const detectors = [...new Set(photos.value.map(({ detector }) => detector))];
  return (
    <>
      {detectors.length > 1 && (
        <select
          class="select small"
          aria-label="Photos scored by"
          value={shownDetector.value ?? ''}
          onChange={({ currentTarget }) => (shownDetector.value = currentTarget.value || undefined)}
        >
          <option value="">All detectors</option>
          {detectors.map((name) => (
            <option key={name}>{name}</option>
          ))}
        </select>
      )}
      <input
        class="select small number"
        type="number"
        step="any"
        placeholder="Score from"
        aria-label="Score from"
        value={leastScore.value ?? ''}
        onInput={({ currentTarget: { value } }) =>
          (leastScore.value = value === '' ? undefined : Number(value))
        }
      />
    </>
  );
}

const marks = { anomalous: '▲', good: '●' };

function Thumbnail({ photo }: { readonly photo: Photo }) {
  const { id, name, thumbnail, outcome } = photo;
  const verdict = verdictOf(photo);
  const isSelected = selectedId.value === id;
  const button = useRef<HTMLButtonElement>(null);
  useEffect(() => {
    if (isSelected) button.current?.scrollIntoView({ block: 'nearest', inline: 'nearest' });
  }, [isSelected]);
  const words = outcome.state === 'scored' ? `${short(outcome.result.score)}, ${verdict}` : outcome.state;
  return (
    <li>
      <button
        ref={button}
        type="button"
        class="thumb"
        aria-current={isSelected ? 'true' : undefined}
        aria-label={`${name} ${words}`}
        title={name}
        onClick={() => (selectedId.value = id)}
      >
        {thumbnail ? <img src={thumbnail} alt="" loading="lazy" /> : <span class="blank" />}
        <span class="name" aria-hidden="true">
          {name}
        </span>
        <span aria-hidden="true">
          {outcome.state === 'scored' && verdict ? (
            <b class={verdict}>
              {marks[verdict]} {short(outcome.result.score)}
              {photo.label && (photo.label === verdict ? ' ✓' : ' ✗')}
            </b>
          ) : (
            <span class={outcome.state === 'failed' ? 'anomalous' : ''}>{outcome.state}</span>
          )}
        </span>
      </button>
    </li>
  );
}
