/** The region of interest, drawn on one of the photos: what lies outside does not count. */
import { signal } from '@preact/signals';
import { useEffect, useState } from 'preact/hooks';
import { type Candidate, type Point, region } from './make-job.js';

/** The line that is being drawn, in pixels of the photo. */
const line = signal<readonly Point[]>([]);

/** Points that lie closer than this share of the width are left out. */
const leastStep = 0.01;

interface Size {
  readonly width: number;
  readonly height: number;
}

export function RegionDrawing({ photo }: { readonly photo: Candidate | undefined }) {
  const [url, setUrl] = useState<string>();
  const [size, setSize] = useState<Size>();
  useEffect(() => {
    if (!photo) return undefined;
    const address = URL.createObjectURL(photo.file);
    setUrl(address);
    return () => URL.revokeObjectURL(address);
  }, [photo?.id]);
  if (!photo || !url) return null;
  const polygons = region.value?.polygons ?? [];
  return (
    <section class="panel form" aria-label="Region of interest">
      <h2>Region of interest</h2>
      <p class="soft">Draw around what counts. Everything counts if you draw nothing.</p>
      <div
        class="drawing"
        onPointerDown={(event) => begin(event, size)}
        onPointerMove={(event) => draw(event, size)}
        onPointerUp={() => close(size)}
      >
        <img
          src={url}
          alt="One of the good parts"
          draggable={false}
          onLoad={({ currentTarget: { naturalWidth: width, naturalHeight: height } }) =>
            setSize({ width, height })
          }
        />
        {size && (
          <svg viewBox={`0 0 ${size.width} ${size.height}`} aria-hidden="true">
            {polygons.map((points) => (
              <polygon key={points.join(' ')} points={points.join(' ')} />
            ))}
            <polyline points={line.value.join(' ')} />
          </svg>
        )}
      </div>
      {size && <Rectangle size={size} />}
      {polygons.length > 0 && (
        <div class="bar">
          <span class="soft" role="status">
            {polygons.length === 1 ? 'One area counts.' : `${polygons.length} areas count.`}
          </span>
          <span class="grow" />
          <button type="button" class="btn small" onClick={() => (region.value = undefined)}>
            Clear
          </button>
        </div>
      )}
    </section>
  );
}

function pointOf({ clientX, clientY, currentTarget }: PointerEvent, { width, height }: Size): Point {
  const box = (currentTarget as HTMLElement).getBoundingClientRect();
  const part = (at: number, from: number, length: number): number =>
    Math.min(1, Math.max(0, (at - from) / length));
  return [
    Math.round(width * part(clientX, box.left, box.width)),
    Math.round(height * part(clientY, box.top, box.height)),
  ];
}

function begin(event: PointerEvent, size: Size | undefined): void {
  if (!size) return;
  (event.currentTarget as HTMLElement).setPointerCapture(event.pointerId);
  line.value = [pointOf(event, size)];
}

function draw(event: PointerEvent, size: Size | undefined): void {
  const [x, y] = line.value.at(-1) ?? [];
  if (!size || x === undefined || y === undefined) return;
  const next = pointOf(event, size);
  if (Math.hypot(next[0] - x, next[1] - y) < leastStep * size.width) return;
  line.value = [...line.value, next];
}

function close(size: Size | undefined): void {
  if (size && line.value.length >= 3) add(line.value, size);
  line.value = [];
}

function add(polygon: readonly Point[], { width, height }: Size): void {
  region.value = { width, height, polygons: [...(region.value?.polygons ?? []), polygon] };
}

const edges = ['Left', 'Top', 'Right', 'Bottom'] as const;

/** The same for those who cannot draw: a rectangle in percent of the photo. */
function Rectangle({ size }: { readonly size: Size }) {
  const submit = (event: SubmitEvent): void => {
    event.preventDefault();
    const form = new FormData(event.currentTarget as HTMLFormElement);
    const [left, top, right, bottom] = edges.map((edge) => Number(form.get(edge)) / 100) as [
      number,
      number,
      number,
      number,
    ];
    if (left >= right || top >= bottom) return;
    const at = (x: number, y: number): Point => [Math.round(x * size.width), Math.round(y * size.height)];
    add([at(left, top), at(right, top), at(right, bottom), at(left, bottom)], size);
  };
  return (
    <details>
      <summary>Type a rectangle instead</summary>
      <form class="bar" onSubmit={submit}>
        {edges.map((edge, index) => (
          <label key={edge}>
            {edge}, %{' '}
            <input
              class="field number"
              name={edge}
              type="number"
              min="0"
              max="100"
              value={index < 2 ? 10 : 90}
              required
            />
          </label>
        ))}
        <button type="submit" class="btn small">
          Add
        </button>
      </form>
    </details>
  );
}
