/**
 * Decides batch sizes and tensor sizes for the queue, the engine and its warm-up.
 *
 * On the CPU a tensor may have any size. The queue still uses powers of two, so that only a few sizes occur. On CUDA,
 * onnxruntime prepares every convolution again whenever the size changes, which takes a hundred times as long as the
 * run (measured on an H200). So on CUDA tensors have a few fixed sizes, and smaller batches are padded with blank
 * images: eight images take little more time than one.
 */
export class BatchSizes {
  /**
   * @param maxBatch images in a batch.
   * @param fixed tensor sizes, ascending, ending with `most`; empty if a tensor may have any size.
   */
  private constructor(
    readonly maxBatch: number,
    private readonly fixed: readonly number[],
  ) {}

  /** Allows tensors of any size up to `most` images. */
  static any(most: number): BatchSizes {
    return new BatchSizes(most, []);
  }

  /** Allows tensors of these sizes only, ascending. */
  static of(...sizes: readonly number[]): BatchSizes {
    return new BatchSizes(sizes.at(-1) ?? 1, sizes);
  }

  /** Returns the sizes for a provider. */
  static on(provider: 'cpu' | 'cuda', most: number): BatchSizes {
    return provider === 'cpu'
      ? BatchSizes.any(most)
      : BatchSizes.of(...cudaSizes.filter((size) => size < most), most);
  }

  /** Returns the size of the next batch for a number of waiting images. */
  nextBatch(waiting: number): number {
    const count = Math.min(waiting, this.maxBatch);
    return this.fixed.length > 0 ? count : 2 ** Math.floor(Math.log2(count));
  }

  /** Splits a known number of images into batches: full ones, then the rest. */
  batches(count: number): number[] {
    const full = Array.from({ length: Math.floor(count / this.maxBatch) }, () => this.maxBatch);
    const rest = count % this.maxBatch;
    return rest > 0 ? [...full, rest] : full;
  }

  /** Returns the tensor size for a batch of `count` images. */
  tensorSize(count: number): number {
    return this.fixed.find((size) => size >= count) ?? count;
  }

  /** Sizes to run once before the first request, so that no request waits for this preparation. */
  get warmUp(): readonly number[] {
    return this.fixed.length > 0 ? this.fixed : [1];
  }
}

/** 1 for the lowest latency; from 8 on, further images add little time. */
const cudaSizes = [1, 8, 16, 32];
