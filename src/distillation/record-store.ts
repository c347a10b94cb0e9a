/**
 * Records of equal size, kept in memory up to a bound and on disk beyond it: the expert's activations of
 * every image, computed once.
 */
import { type FileHandle, mkdtemp, open, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';

export class RecordStore {
  readonly #inMemory: Uint8Array[] = [];
  #file: { handle: FileHandle; folder: string } | undefined;
  #count = 0;

  /**
   * @param recordBytes size of each record.
   * @param memoryBytes how much may stay in memory.
   */
  constructor(
    readonly recordBytes: number,
    private readonly memoryBytes: number,
  ) {}

  get count(): number {
    return this.#count;
  }

  /** Whether some records had to go to disk. */
  get spilled(): boolean {
    return this.#file !== undefined;
  }

  /** Appends a record; its index is the number of records before it. */
  async append(record: Uint8Array): Promise<void> {
    if (record.length !== this.recordBytes) {
      throw new RangeError(`a record has ${record.length} bytes; wanted ${this.recordBytes}`);
    }
    if ((this.#inMemory.length + 1) * this.recordBytes <= this.memoryBytes) {
      this.#inMemory.push(Uint8Array.from(record));
    } else {
      this.#file ??= await this.#spill();
      const at = (this.#count - this.#inMemory.length) * this.recordBytes;
      await this.#file.handle.write(record, 0, record.length, at);
    }
    this.#count++;
  }

  /** Copies a record to `target` at `offset`. @throws RangeError when there is no such record. */
  async read(index: number, target: Uint8Array, offset: number): Promise<void> {
    if (index < 0 || index >= this.#count) throw new RangeError(`no record ${index} of ${this.#count}`);
    const kept = this.#inMemory[index];
    if (kept) {
      target.set(kept, offset);
      return;
    }
    const at = (index - this.#inMemory.length) * this.recordBytes;
    await this.#file?.handle.read(target, offset, this.recordBytes, at);
  }

  /** Lets go of memory and removes the file. */
  async close(): Promise<void> {
    this.#inMemory.length = 0;
    this.#count = 0;
    await this.#file?.handle.close();
    if (this.#file) await rm(this.#file.folder, { recursive: true, force: true });
    this.#file = undefined;
  }

  async #spill(): Promise<{ handle: FileHandle; folder: string }> {
    const folder = await mkdtemp(join(tmpdir(), 'mkd-activations-'));
    return { handle: await open(join(folder, 'records'), 'w+'), folder };
  }
}
