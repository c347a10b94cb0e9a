/** Text files as people and their tools write them. */
import { readFile } from 'node:fs/promises';

/** Reads a text file in UTF-8 or, if its byte order mark says so, UTF-16. The mark is left out. */
export async function readText(path: string): Promise<string> {
  const bytes = await readFile(path);
  const [first, second] = bytes;
  if (first === 0xff && second === 0xfe) return new TextDecoder('utf-16le').decode(bytes);
  if (first === 0xfe && second === 0xff) return new TextDecoder('utf-16be').decode(bytes);
  return new TextDecoder('utf-8').decode(bytes);
}
