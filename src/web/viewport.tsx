/** A picture that can be moved and zoomed. All that are shown at once keep step. */
import { signal } from '@preact/signals';
import type { ComponentChildren } from 'preact';
import { useEffect, useLayoutEffect, useRef, useState } from 'preact/hooks';

/** 1 fits the picture into its window. */
const zoom = signal(1);
/** From the middle, as a share of the window's size. */
const pan = signal({ x: 0, y: 0 });
/** At zoom 1, screen pixels for each pixel of the picture. */
const fitting = signal(1);
const mostZoom = 40;

interface Size {
  readonly width: number;
  readonly height: number;
}

export function fit(): void {
  zoom.value = 1;
  pan.value = { x: 0, y: 0 };
}

/** Shows each pixel of the picture as one of the screen. */
export function actualSize(): void {
  zoomBy(1 / (fitting.value * zoom.value));
}

/** Zooms, and keeps a point of the window where it is. @param at from the middle, as a share of the window's size. */
export function zoomBy(factor: number, at = { x: 0, y: 0 }): void {
  const least = Math.min(1, 1 / fitting.value);
  const next = Math.min(mostZoom, Math.max(least, zoom.value * factor));
  const ratio = next / zoom.value;
  pan.value =
    next <= 1
      ? { x: 0, y: 0 }
      : { x: at.x - (at.x - pan.value.x) * ratio, y: at.y - (at.y - pan.value.y) * ratio };
  zoom.value = next;
}

interface Props {
  readonly label: string;
  /** Of the picture, in its pixels. */
  readonly pixels: Size;
  /** @param scale screen pixels for each pixel of the picture. */
  readonly children: (scale: number) => ComponentChildren;
}

export function Viewport({ label, pixels, children }: Props) {
  const element = useRef<HTMLDivElement>(null);
  const [size, setSize] = useState<Size>({ width: 1, height: 1 });
  // Before it is drawn for the first time.
  useLayoutEffect(() => {
    const observed = element.current;
    if (!observed) return undefined;
    const measure = (): void => setSize({ width: observed.clientWidth, height: observed.clientHeight });
    measure();
    const observer = new ResizeObserver(measure);
    observer.observe(observed);
    return () => observer.disconnect();
  }, []);
  const fits = Math.min(size.width / pixels.width, size.height / pixels.height);
  useEffect(() => {
    fitting.value = fits;
  }, [fits]);
  const scale = fits * zoom.value;
  const [left, top] = [pan.value.x * size.width, pan.value.y * size.height];
  const place = {
    width: `${pixels.width}px`,
    height: `${pixels.height}px`,
    transform: `translate(-50%, -50%) translate(${left}px, ${top}px) scale(${scale})`,
    imageRendering: scale > 4 ? 'pixelated' : 'auto',
  };
  return (
    <div
      class="window"
      ref={element}
      // biome-ignore lint/a11y/noNoninteractiveTabindex: the keys for zoom need the focus
      tabIndex={0}
      role="application"
      aria-label={label}
      {...handlers}
    >
      <div class="sheet" style={place}>
        {children(scale)}
      </div>
    </div>
  );
}

/** Dragging moves the picture, the wheel and the keys zoom. */
const handlers = {
  onPointerDown: (event: PointerEvent): void => {
    const element = event.currentTarget as HTMLElement;
    element.setPointerCapture(event.pointerId);
    element.classList.add('dragging');
  },
  onPointerMove: (event: PointerEvent): void => {
    const element = event.currentTarget as HTMLElement;
    if (!element.hasPointerCapture(event.pointerId) || zoom.value <= 1) return;
    pan.value = {
      x: pan.value.x + event.movementX / element.clientWidth,
      y: pan.value.y + event.movementY / element.clientHeight,
    };
  },
  onPointerUp: (event: PointerEvent): void =>
    (event.currentTarget as HTMLElement).classList.remove('dragging'),
  onWheel: (event: WheelEvent): void => {
    event.preventDefault();
    const box = (event.currentTarget as HTMLElement).getBoundingClientRect();
    const at = {
      x: (event.clientX - box.left) / box.width - 0.5,
      y: (event.clientY - box.top) / box.height - 0.5,
    };
    zoomBy(2 ** (-event.deltaY / 300), at);
  },
  onKeyDown: (event: KeyboardEvent): void => {
    if (event.key === '+' || event.key === '=') zoomBy(1.25);
    if (event.key === '-') zoomBy(0.8);
    if (event.key === '0') fit();
    if (event.key === '1') actualSize();
  },
};
