/** A button that lets people choose photos. */
import { useRef } from 'preact/hooks';

interface Props {
  readonly label: string;
  /** What the choice is for, for those who cannot see where the button is. */
  readonly about: string;
  readonly onFiles: (files: readonly File[]) => void;
  readonly isPrimary?: boolean;
  /** Takes a photo with the camera instead. */
  readonly camera?: boolean;
}

export function FileButton({ label, about, onFiles, isPrimary = false, camera = false }: Props) {
  const input = useRef<HTMLInputElement>(null);
  const take = ({ currentTarget }: { readonly currentTarget: HTMLInputElement }): void => {
    onFiles([...(currentTarget.files ?? [])]);
    // The same file can be chosen again.
    currentTarget.value = '';
  };
  return (
    <>
      <input
        ref={input}
        type="file"
        hidden
        multiple={!camera}
        accept={camera ? 'image/*' : 'image/*,.tif,.tiff'}
        {...(camera ? { capture: 'environment' } : {})}
        onChange={take}
        aria-label={about}
      />
      <button
        type="button"
        class={`btn${isPrimary ? ' primary' : ''}${camera ? ' touch-only' : ''}`}
        onClick={() => input.current?.click()}
      >
        {label}
      </button>
    </>
  );
}
