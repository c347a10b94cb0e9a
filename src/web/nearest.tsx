/** The good photo that is most like the one that is looked at, beside it. */
import { signal } from '@preact/signals';
import { useEffect, useState } from 'preact/hooks';
import { api, type Result } from './api.js';
import { Viewport } from './viewport.js';

/** Whether it is shown, where it is known. */
export const isCompared = signal(true);

export interface GoodPhoto {
  readonly name: string;
  readonly url: string;
}

/** Loads it. @returns undefined until it is there, or if there is none. */
export function useNearest(result: Result | undefined, isKept: boolean): GoodPhoto | undefined {
  const [photo, setPhoto] = useState<GoodPhoto>();
  const id = isKept && isCompared.value ? result?.id : undefined;
  useEffect(() => {
    setPhoto(undefined);
    if (id === undefined) return undefined;
    let current = true;
    let url: string | undefined;
    api.nearest(id).then(
      (found) => {
        url = found.url;
        if (current) setPhoto(found);
        else URL.revokeObjectURL(url);
      },
      () => undefined,
    );
    return () => {
      current = false;
      if (url) URL.revokeObjectURL(url);
    };
  }, [id]);
  return photo;
}

export function Nearest({
  photo: { name, url },
  result,
}: {
  readonly photo: GoodPhoto;
  readonly result: Result;
}) {
  return (
    <div class="pane">
      <Viewport label="Nearest good photo: it moves with the other one" pixels={result}>
        {() => <img class="beside" src={url} alt={name} draggable={false} />}
      </Viewport>
      <span class="caption">Nearest good photo: {name}</span>
    </div>
  );
}
