/** All photos of this visit, with their verdicts. */
import { useEffect, useRef } from 'preact/hooks';
import { download } from './download.js';
import { MarkedPhotos } from './marks.js';
import { short } from './numbers.js';
import {
  type Filter,
  filter,
  type Photo,
  photos,
  removeAll,
  selectedId,
  shown,
  verdictOf,
} from './photos.js';

const filters: readonly (readonly [Filter, string])[] = [
  ['all', 'All'],
  ['anomalous', 'Anomalous'],
  ['good', 'Good'],
  ['failed', 'Not scored'],
];

function count(kind: Filter): number {
  if (kind === 'all') return photos.value.length;
  return photos.value.filter((photo) =>
    kind === 'failed' ? photo.outcome.state === 'failed' : verdictOf(photo) === kind,
  ).length;
}

function save(): void {
  const results = photos.value.map(({ name, detector, outcome }) =>
    outcome.state === 'scored'
      ? { ...outcome.result, name, detector, version: outcome.version }
      : { name, detector, ...outcome },
  );
  download('mkd-results.json', JSON.stringify(results, null, 2));
}

export function Strip() {
  return (
    <>
      <div class="bar">
        <fieldset class="seg plain" aria-label="Photos that are shown">
          {filters.map(([kind, word]) => (
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
        <span class="grow" />
        <button type="button" class="link" onClick={save}>
          Download JSON
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
