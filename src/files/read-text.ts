/** Text files as people and their tools write them. */
import { readFile } from 'node:fs/promises';

/** Reads a text file in UTF-8 or UTF-16, by its byte order mark or, without one, its first character. The mark is left out. */
export async function readText(path: string): Promise<string> {
  const bytes = await readFile(path);
  const [first, second] = bytes;
  // Our text files begin with ASCII: one of its two bytes is 0.
  const isLittle = (first === 0xff && second === 0xfe) || (first !== 0 && second === 0);
  const isBig = (first === 0xfe && second === 0xff) || (first === 0 && second !== 0);
  if (isLittle) return new TextDecoder('utf-16le').decode(bytes);
  if (isBig) return new TextDecoder('utf-16be').decode(bytes);
  return new TextDecoder('utf-8').decode(bytes);
}
