/** The photo, large, with its heatmap or outlines over it. */
import { signal } from '@preact/signals';
import { useEffect, useState } from 'preact/hooks';
import { api, type Result } from './api.js';
import { asLayer } from './heatmap.js';
import { isCompared, Nearest, useNearest } from './nearest.js';
import { useObjectUrl } from './object-url.js';
import { type Photo, scoreAgain } from './photos.js';
import { regionHovered } from './regions.js';
import { actualSize, fit, Viewport, zoomBy } from './viewport.js';

const views = ['photo', 'heatmap', 'outlines'] as const;
const view = signal<(typeof views)[number]>('heatmap');
const opacity = signal(0.9);

export function cycleView(): void {
  view.value = views[(views.indexOf(view.value) + 1) % views.length] ?? 'heatmap';
}

const asItIs = (picture: Blob): Blob | Promise<Blob> => picture;

/** Loads a picture of a result; undefined until it is there, or if the service no longer has it. */
function usePicture(path: string | undefined, drawn = asItIs): string | undefined {
  return useObjectUrl(path, async (file) => ({ picture: await drawn(await api.file(file)) }))?.url;
}

interface Props {
  readonly photo: Photo;
  /** Whether good photos of its detector are kept. */
  readonly hasGoodPhotos: boolean;
}

export function Stage({ photo, hasGoodPhotos }: Props) {
  const result = photo.outcome.state === 'scored' ? photo.outcome.result : undefined;
  const nearest = useNearest(result, hasGoodPhotos);
  useEffect(fit, [photo.id]);
  return (
    <div class={nearest ? 'stage pair' : 'stage'}>
      <PhotoPane photo={photo} result={result} />
      {nearest && result && <Nearest photo={nearest} result={result} />}
      {photo.outcome.state === 'failed' && (
        <div class="failed" role="alert">
          <b>This photo was not scored</b>
          <p>{photo.outcome.message}</p>
          <button type="button" class="btn" onClick={() => scoreAgain(({ id }) => id === photo.id)}>
            Try again
          </button>
        </div>
      )}
      {(photo.outcome.state === 'waiting' || photo.outcome.state === 'scoring') && (
        <span class="busy" role="status">
          {photo.outcome.state === 'waiting' ? 'Waiting for its turn' : 'Scoring'}
        </span>
      )}
      <Tools canCompare={hasGoodPhotos} />
    </div>
  );
}

function PhotoPane({ photo, result }: { readonly photo: Photo; readonly result: Result | undefined }) {
  const [natural, setNatural] = useState<{ width: number; height: number }>();
  // A photo in a format that the browser cannot show is shown as the service sees it.
  const seen = usePicture(photo.url === undefined ? result?.links.photo : undefined);
  const heatmap = usePicture(result?.links.heatmap, asLayer);
  useEffect(() => setNatural(undefined), [photo.id]);
  const source = photo.url ?? seen;
  return (
    <div class="pane">
      <Viewport
        label="Photo: drag to move, plus and minus to zoom"
        pixels={result ?? natural ?? { width: 256, height: 256 }}
      >
        {(scale) => (
          <>
            {source && (
              <img
                src={source}
                alt={photo.name}
                draggable={false}
                onLoad={({ currentTarget: { naturalWidth: width, naturalHeight: height } }) =>
                  setNatural({ width, height })
                }
              />
            )}
            {view.value === 'heatmap' && heatmap && (
              <img class="heat" src={heatmap} alt="" draggable={false} style={{ opacity: opacity.value }} />
            )}
            {view.value === 'outlines' && result?.localization && <Outlines photo={photo} scale={scale} />}
          </>
        )}
      </Viewport>
      <span class="caption">
        {photo.name}
        {result && `, ${result.width} x ${result.height}`}
      </span>
    </div>
  );
}

function Outlines({ photo: { outcome }, scale }: { readonly photo: Photo; readonly scale: number }) {
  if (outcome.state !== 'scored') return null;
  const { width, height, localization } = outcome.result;
  return (
    <svg viewBox={`0 0 ${width} ${height}`} aria-hidden="true">
      {localization?.regions.map(({ polygons, box }, index) => (
        <g key={`${box.x} ${box.y}`} class={regionHovered.value === index ? 'region on' : 'region'}>
          <path
            d={polygons
              .flat()
              .map((ring) => `M${ring.map((point) => point.join(' ')).join('L')}Z`)
              .join('')}
            stroke-width={2 / scale}
          />
          <text x={box.x + box.width + 4 / scale} y={box.y + 10 / scale} font-size={13 / scale}>
            {index + 1}
          </text>
        </g>
      ))}
    </svg>
  );
}

function Tools({ canCompare }: { readonly canCompare: boolean }) {
  return (
    <div class="tools">
      <fieldset class="seg" aria-label="What is shown">
        {views.map((name) => (
          <button
            key={name}
            type="button"
            aria-pressed={view.value === name}
            onClick={() => (view.value = name)}
          >
            {name[0]?.toUpperCase()}
            {name.slice(1)}
          </button>
        ))}
      </fieldset>
      {view.value === 'heatmap' && (
        <label class="opacity">
          Opacity
          <input
            class="range"
            type="range"
            min="0"
            max="100"
            value={100 * opacity.value}
            onInput={({ currentTarget }) => (opacity.value = Number(currentTarget.value) / 100)}
          />
        </label>
      )}
      <span class="grow" />
      <fieldset class="seg" aria-label="Zoom and comparison">
        <button type="button" onClick={() => zoomBy(0.8)} aria-label="Smaller">
          −
        </button>
        <button type="button" onClick={fit}>
          Fit
        </button>
        <button type="button" onClick={actualSize} title="Actual size">
          1:1
        </button>
        <button type="button" onClick={() => zoomBy(1.25)} aria-label="Larger">
          +
        </button>
        {canCompare && (
          <button
            type="button"
            aria-pressed={isCompared.value}
            onClick={() => (isCompared.value = !isCompared.value)}
          >
            Compare
          </button>
        )}
      </fieldset>
    </div>
  );
}
