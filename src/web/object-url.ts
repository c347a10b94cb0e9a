/** Pictures that are loaded and shown by an address of the page, which is given back when they are no longer shown. */
import { useEffect, useState } from 'preact/hooks';

/**
 * Loads what belongs to a key.
 * @returns it with its address; undefined until it is there, if it cannot be loaded, or without a key.
 */
export function useObjectUrl<Loaded extends { readonly picture: Blob }>(
  key: string | undefined,
  load: (key: string) => Promise<Loaded>,
): (Loaded & { readonly url: string }) | undefined {
  const [shown, setShown] = useState<Loaded & { readonly url: string }>();
  useEffect(() => {
    setShown(undefined);
    if (key === undefined) return undefined;
    let current = true;
    let url: string | undefined;
    load(key).then(
      (loaded) => {
        if (!current) return;
        url = URL.createObjectURL(loaded.picture);
        setShown({ ...loaded, url });
      },
      () => undefined,
    );
    return () => {
      current = false;
      if (url) URL.revokeObjectURL(url);
    };
  }, [key]);
  return shown;
}
