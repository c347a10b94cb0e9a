/** Reads tar archives entry by entry. */
import { type Extract, extract } from 'tar-stream';

/** One entry of an archive: its header, and its bytes as a stream. */
type TarEntry = Extract extends AsyncIterable<infer Entry> ? Entry : never;

/**
 * Yields the entries of an archive; each must be read or resumed before the next one comes.
 * @param unpack writes the archive into what reads it, and resolves when all is written.
 * @throws what `unpack` throws; Error if it is no archive.
 */
export async function* tarEntries(unpack: (into: Extract) => Promise<void>): AsyncGenerator<TarEntry, void> {
  const entries = extract();
  const unpacking = unpack(entries);
  unpacking.catch((error: Error) => entries.destroy(error));
  yield* entries;
  await unpacking;
}
