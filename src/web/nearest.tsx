/** The good photo that is most like the one that is looked at, beside it. */
import { signal } from '@preact/signals';
import { api, type Result } from './api.js';
import { useObjectUrl } from './object-url.js';
import { Viewport } from './viewport.js';

/** Whether it is shown, where it is known. */
export const isCompared = signal(true);

/** Loads it. @returns undefined until it is there, or if there is none. */
export function useNearest(result: Result | undefined, isKept: boolean) {
  return useObjectUrl(isKept && isCompared.value ? result?.id : undefined, api.nearest);
}

interface Props {
  readonly photo: { readonly name: string; readonly url: string };
  readonly result: Result;
}

export function Nearest({ photo: { name, url }, result }: Props) {
  return (
    <div class="pane">
      <Viewport label="Nearest good photo: it moves with the other one" pixels={result}>
        {() => <img class="beside" src={url} alt={name} draggable={false} />}
      </Viewport>
      <span class="caption">Nearest good photo: {name}</span>
    </div>
  );
}
