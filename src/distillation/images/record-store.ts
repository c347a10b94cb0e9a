/**
 * Records of equal size, in memory up to a limit and on disk beyond it: the expert's activations of every image,
 * computed once.
 */
import { type FileHandle, mkdtemp, open, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';

export class RecordStore {
  readonly #inMemory: Uint8Array[] = [];
  #file: FileHandle | undefined;
  #count = 0;

  /**
   * @param recordBytes size of each record.
   * @param memoryBytes how much may stay in memory.
   */
  constructor(
    readonly recordBytes: number,
    private readonly memoryBytes: number,
  ) {}

  /** Appends a record; its index is the number of records before it. */
  async append(record: Uint8Array): Promise<void> {
    if (record.length !== this.recordBytes) {
      throw new RangeError(`a record has ${record.length} bytes; expected ${this.recordBytes}`);
    }
    if ((this.#inMemory.length + 1) * this.recordBytes <= this.memoryBytes) {
      this.#inMemory.push(Uint8Array.from(record));
    } else {
      this.#file ??= await openUnnamed();
      await this.#file.appendFile(record);
    }
    this.#count++;
  }

  /** Copies a record to `target` at `offset`. @throws RangeError if there is no such record. */
  async read(index: number, target: Uint8Array, offset: number): Promise<void> {
    if (index < 0 || index >= this.#count)
      throw new RangeError(`there is no record ${index}; the store has ${this.#count}`);
    const kept = this.#inMemory[index];
    if (kept) {
      target.set(kept, offset);
      return;
    }
    const at = (index - this.#inMemory.length) * this.recordBytes;
    const read = await this.#file?.read(target, offset, this.recordBytes, at);
    if (read?.bytesRead !== this.recordBytes) throw new Error(`record ${index} is incomplete on disk`);
  }

  /** Frees memory and disk. */
  async close(): Promise<void> {
    this.#inMemory.length = 0;
    this.#count = 0;
    await this.#file?.close();
    this.#file = undefined;
  }
}

/** Opens a file without a name, which is deleted when it is closed or the process ends. */
async function openUnnamed(): Promise<FileHandle> {
  const folder = await mkdtemp(join(tmpdir(), 'mkd-activations-'));
  try {
    return await open(join(folder, 'records'), 'w+');
  } finally {
    await rm(folder, { recursive: true, force: true });
  }
}
