/** Photos that a detector is to be made from, or checked with. */
import { signal } from '@preact/signals';
import { FileButton } from './file-button.js';
import { addCandidates, type Candidate, defective, good, remove } from './make-job.js';

const isDragging = signal(false);

/** Photos of one kind: a place to drop them, and what the service says of each. */
export function CandidatePhotos({
  isGood,
  isFixed,
}: {
  readonly isGood: boolean;
  readonly isFixed: boolean;
}) {
  const all = isGood ? good.value : defective.value;
  const count = (state: string): number => all.filter(({ check }) => check?.state === state).length;
  const copies = count('copy');
  const add = (files: readonly File[]): void => addCandidates(files, isGood);
  const drop = (event: DragEvent): void => {
    event.preventDefault();
    event.stopPropagation();
    isDragging.value = false;
    if (!isFixed) add([...(event.dataTransfer?.files ?? [])]);
  };
  const title = isGood ? 'Photos of good parts' : 'Photos of defects, only to check';
  return (
    <section
      class={isDragging.value && !isFixed ? 'panel drop on' : 'panel drop'}
      aria-label={title}
      onDragOver={(event) => {
        event.preventDefault();
        isDragging.value = true;
      }}
      onDragLeave={() => (isDragging.value = false)}
      onDrop={drop}
    >
      <div class="bar">
        <h2>
          {title}
          {all.length > 0 && `: ${all.length}`}
        </h2>
        {copies > 0 && (
          <span class="tag">{copies === 1 ? '1 copy is' : `${copies} copies are`} left out</span>
        )}
        {count('unusable') > 0 && <span class="tag">{count('unusable')} cannot be read</span>}
        <span class="grow" />
        {!isFixed && (
          <>
            <FileButton label="Take a photo" about={`${title}, by camera`} onFiles={add} camera />
            <FileButton label="Choose files" about={title} onFiles={add} />
          </>
        )}
      </div>
      {all.length === 0 && (
        <p class="soft">
          {isGood
            ? 'Drop them here: fifty are good, ten the least that is useful. Of different parts, taken as they will be later. JPEG, PNG, WebP and TIFF.'
            : 'If you have any, drop them here. The detector does not learn from them; they are scored when it is made.'}
        </p>
      )}
      <Sizes all={all} />
      {/* biome-ignore lint/a11y/noNoninteractiveTabindex: what scrolls needs the focus of the keyboard */}
      <ul class="grid" tabIndex={0} aria-label={title}>
        {all.map((photo) => (
          <Tile key={photo.id} photo={photo} isFixed={isFixed} />
        ))}
      </ul>
    </section>
  );
}

/** Says what sizes the photos have, if they differ: that is often a mistake. */
function Sizes({ all }: { readonly all: readonly Candidate[] }) {
  const counts = new Map<string, number>();
  for (const { check } of all) {
    if (check?.state !== 'used') continue;
    const size = `${check.width} x ${check.height}`;
    counts.set(size, (counts.get(size) ?? 0) + 1);
  }
  if (counts.size === 0) return null;
  const listed = [...counts].sort(([, a], [, b]) => b - a).slice(0, 3);
  if (counts.size === 1) return <p class="soft">All have {listed[0]?.[0]} pixels.</p>;
  return (
    <p class="note warn">
      The photos have {counts.size} sizes: {listed.map(([size, number]) => `${number} of ${size}`).join(', ')}
      {counts.size > 3 && ' and others'}. That is fine if parts are equally large in all of them.
    </p>
  );
}

function Tile({ photo, isFixed }: { readonly photo: Candidate; readonly isFixed: boolean }) {
  const { id, name: file, thumbnail, check: found } = photo;
  const isLeftOut = found !== undefined && found.state !== 'used';
  return (
    <li class={isLeftOut ? 'thumb out' : 'thumb'} title={found?.reason ?? file}>
      {thumbnail ? <img src={thumbnail} alt="" loading="lazy" /> : <span class="blank" />}
      <span class="name">{file}</span>
      {isLeftOut && <b class="bad">{found.state === 'copy' ? 'copy' : 'cannot be read'}</b>}
      {!isFixed && (
        <button type="button" class="link" onClick={() => remove(id)} aria-label={`Remove ${file}`}>
          Remove
        </button>
      )}
    </li>
  );
}
