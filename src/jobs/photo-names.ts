/** Names of uploaded photos, as they are kept on disk: what a client sends may lead out of a folder, or be no image's name. */
import { isImageName } from '../datasets/index.js';
import type { ImageFormat } from '../imaging/index.js';

const longestStem = 100;

/**
 * Returns a name for a photo: the last part of what the client sent, of letters, digits and a few signs, that ends like an
 * image, and that no other photo has.
 * @param sent what the client calls it.
 * @param taken names of other photos, in lower case: some file systems do not tell cases apart.
 */
export function keptName(sent: string | undefined, format: ImageFormat, taken: ReadonlySet<string>): string {
  const last = (sent ?? '').normalize('NFC').split(/[\\/]/).at(-1) ?? '';
  const plain = last.replace(/[^\p{L}\p{N}._ ()-]/gu, '_').replace(/^[. ]+/, '');
  const extension = isImageName(plain) ? /\.\w+$/.exec(plain)?.[0] : undefined;
  const stem =
    (extension ? plain.slice(0, -extension.length) : plain).slice(0, longestStem).trim() || 'photo';
  const end = extension ?? `.${format}`;
  for (let number = 1; ; number++) {
    const name = number === 1 ? `${stem}${end}` : `${stem} (${number})${end}`;
    if (!taken.has(name.toLowerCase())) return name;
  }
}
