/** Things in memory, at most so many: those not used for the longest time go first, and are made again when needed. */
export class Memory<Value> {
  // A Map keeps the order of insertion: the first entry is the one not used for the longest time.
  readonly #entries = new Map<string, Promise<Value>>();

  constructor(private readonly most: number) {}

  get size(): number {
    return this.#entries.size;
  }

  has(key: string): boolean {
    return this.#entries.has(key);
  }

  /** The thing of this key, made if it is not there; who asks meanwhile waits for the same. */
  async get(key: string, make: () => Promise<Value>): Promise<Value> {
    const known = this.#entries.get(key);
    this.#entries.delete(key);
    const value = known ?? make();
    this.#entries.set(key, value);
    try {
      await value;
      // Only now: what cannot be made takes nobody's place.
      this.#evict();
      return value;
    } catch (error) {
      if (this.#entries.get(key) === value) this.#entries.delete(key);
      throw error;
    }
  }

  #evict(): void {
    for (const [oldest] of this.#entries) {
      if (this.#entries.size <= this.most) return;
      this.#entries.delete(oldest);
    }
  }

  /** @returns what it was, if it was there. */
  forget(key: string): Promise<Value> | undefined {
    const value = this.#entries.get(key);
    this.#entries.delete(key);
    return value;
  }
}
