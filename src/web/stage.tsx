/** The photo, large, with its heatmap or outlines over it. */
import { signal } from '@preact/signals';
import { useEffect, useRef, useState } from 'preact/hooks';
import { api } from './api.js';
import { type Photo, scoreAgain } from './photos.js';
import { regionHovered } from './regions.js';

const views = ['photo', 'heatmap', 'outlines'] as const;
const view = signal<(typeof views)[number]>('heatmap');
const opacity = signal(0.9);
/** 1 fits the photo into the stage. */
const zoom = signal(1);
const pan = signal({ x: 0, y: 0 });
const mostZoom = 40;

export function cycleView(): void {
  view.value = views[(views.indexOf(view.value) + 1) % views.length] ?? 'heatmap';
}

function fit(): void {
  zoom.value = 1;
  pan.value = { x: 0, y: 0 };
}

/** Zooms, and keeps a point of the stage where it is. @param at from the middle of the stage. */
function zoomBy(factor: number, at = { x: 0, y: 0 }): void {
  const next = Math.min(mostZoom, Math.max(1, zoom.value * factor));
  const ratio = next / zoom.value;
  pan.value =
    next === 1
      ? { x: 0, y: 0 }
      : { x: at.x - (at.x - pan.value.x) * ratio, y: at.y - (at.y - pan.value.y) * ratio };
  zoom.value = next;
}

/** Loads a picture of a result; undefined until it is there, or if the service no longer has it. */
function usePicture(path: string | undefined): string | undefined {
  const [url, setUrl] = useState<string>();
  useEffect(() => {
    setUrl(undefined);
    if (path === undefined) return undefined;
    let current = true;
    let loaded: string | undefined;
    api.picture(path).then(
      (address) => {
        loaded = address;
        if (current) setUrl(address);
        else URL.revokeObjectURL(address);
      },
      () => undefined,
    );
    return () => {
      current = false;
      if (loaded) URL.revokeObjectURL(loaded);
    };
  }, [path]);
  return url;
}

export function Stage({ photo }: { readonly photo: Photo }) {
  const stage = useRef<HTMLDivElement>(null);
  const [size, setSize] = useState({ width: 1, height: 1 });
  const [natural, setNatural] = useState<{ width: number; height: number }>();
  const result = photo.outcome.state === 'scored' ? photo.outcome.result : undefined;
  // A photo in a format that the browser cannot show is shown as the service sees it.
  const overlay = usePicture(photo.url === undefined ? result?.links.overlay : undefined);
  const heatmap = usePicture(result?.links.heatmap);
  useEffect(() => {
    fit();
    setNatural(undefined);
  }, [photo.id]);
  useEffect(() => {
    const element = stage.current;
    if (!element) return undefined;
    const observer = new ResizeObserver(() =>
      setSize({ width: element.clientWidth, height: element.clientHeight }),
    );
    observer.observe(element);
    return () => observer.disconnect();
  }, []);
  const pixels = result ?? natural ?? { width: 256, height: 256 };
  const scale = Math.min(size.width / pixels.width, size.height / pixels.height) * zoom.value;
  const place = {
    width: `${pixels.width}px`,
    height: `${pixels.height}px`,
    transform: `translate(-50%, -50%) translate(${pan.value.x}px, ${pan.value.y}px) scale(${scale})`,
    imageRendering: scale > 4 ? 'pixelated' : 'auto',
  };
  const source = photo.url ?? overlay;
  return (
    <div class="stage">
      <div
        class="window"
        ref={stage}
        // biome-ignore lint/a11y/noNoninteractiveTabindex: the keys for zoom need the focus
        tabIndex={0}
        role="application"
        aria-label="Photo: drag to move, plus and minus to zoom"
        {...handlers}
      >
        <div class="sheet" style={place}>
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
          {view.value === 'heatmap' && heatmap && photo.url && (
            <img
              class="heat"
              src={heatmap}
              alt=""
              draggable={false}
              style={{ opacity: opacity.value, maskImage: Array(3).fill(`url("${heatmap}")`).join() }}
            />
          )}
          {view.value === 'outlines' && result?.localization && <Outlines photo={photo} scale={scale} />}
        </div>
      </div>
      <span class="caption">
        {photo.name}
        {result && `, ${result.width} x ${result.height}`}
      </span>
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
      <Tools />
    </div>
  );
}

/** Dragging moves the photo, the wheel and the keys zoom. */
const handlers = {
  onPointerDown: (event: PointerEvent): void => {
    const element = event.currentTarget as HTMLElement;
    element.setPointerCapture(event.pointerId);
    element.classList.add('dragging');
  },
  onPointerMove: (event: PointerEvent): void => {
    const element = event.currentTarget as HTMLElement;
    if (!element.hasPointerCapture(event.pointerId) || zoom.value === 1) return;
    pan.value = { x: pan.value.x + event.movementX, y: pan.value.y + event.movementY };
  },
  onPointerUp: (event: PointerEvent): void =>
    (event.currentTarget as HTMLElement).classList.remove('dragging'),
  onWheel: (event: WheelEvent): void => {
    event.preventDefault();
    const box = (event.currentTarget as HTMLElement).getBoundingClientRect();
    const at = { x: event.clientX - box.left - box.width / 2, y: event.clientY - box.top - box.height / 2 };
    zoomBy(2 ** (-event.deltaY / 300), at);
  },
  onKeyDown: (event: KeyboardEvent): void => {
    if (event.key === '+' || event.key === '=') zoomBy(1.25);
    if (event.key === '-') zoomBy(0.8);
    if (event.key === '0') fit();
  },
};

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

function Tools() {
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
      <fieldset class="seg" aria-label="Zoom">
        <button type="button" onClick={() => zoomBy(0.8)} aria-label="Smaller">
          −
        </button>
        <button type="button" onClick={fit}>
          Fit
        </button>
        <button type="button" onClick={() => zoomBy(1.25)} aria-label="Larger">
          +
        </button>
      </fieldset>
    </div>
  );
}
