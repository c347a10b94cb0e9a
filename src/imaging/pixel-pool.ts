/**
 * Shared memory for scaled images: a thread writes the pixels of an image there, and another one reads them, without a
 * copy on the way. It is used again, so that nobody has to collect 200 kB of garbage for each image.
 */

/** Memory that is kept for later, bytes. */
const mostKept = 32 * 2 ** 20;

export class PixelPool {
  readonly #free = new Map<number, SharedArrayBuffer[]>();
  #kept = 0;

  /** Returns memory with any contents. */
  take(bytes: number): Uint8Array<SharedArrayBuffer> {
    const buffer = this.#free.get(bytes)?.pop();
    if (buffer) this.#kept -= bytes;
    return new Uint8Array(buffer ?? new SharedArrayBuffer(bytes));
  }

  /** Takes memory back; nobody may use it any more. */
  give({ buffer }: Uint8Array<SharedArrayBuffer>): void {
    const { byteLength } = buffer;
    if (this.#kept + byteLength > mostKept) return;
    const free = this.#free.get(byteLength);
    if (free) free.push(buffer);
    else this.#free.set(byteLength, [buffer]);
    this.#kept += byteLength;
  }
}
