/**
 * How many images go through a graph at once, and how large their tensor is: the one place that decides it. The queue,
 * the engine and its warm-up all ask here.
 *
 * On the CPU a tensor may have any size. A queue still takes powers of two, so that few sizes occur, each of them soon
 * seen. On CUDA onnxruntime prepares every convolution anew whenever the size changes, which takes a hundred times as
 * long as the run (measured on an H200). There tensors have a few fixed sizes, and a batch of fewer images is filled up
 * with blank ones: eight images take little more time than one.
 */
export class BatchSizes {
  /**
   * @param most images in a batch.
   * @param fixed sizes of tensors, ascending, the last one `most`; empty if a tensor may have any size.
   */
  private constructor(
    readonly most: number,
    private readonly fixed: readonly number[],
  ) {}

  /** Tensors of any size up to `most` images. */
  static any(most: number): BatchSizes {
    return new BatchSizes(most, []);
  }

  /** Tensors of these sizes only, ascending. */
  static of(...sizes: readonly number[]): BatchSizes {
    return new BatchSizes(sizes.at(-1) ?? 1, sizes);
  }

  /** The sizes for a provider. */
  static on(provider: 'cpu' | 'cuda', most: number): BatchSizes {
    return provider === 'cpu'
      ? BatchSizes.any(most)
      : BatchSizes.of(...cudaSizes.filter((size) => size < most), most);
  }

  /** How many of the images that wait in a queue make the next batch. */
  next(waiting: number): number {
    const count = Math.min(waiting, this.most);
    return this.fixed.length > 0 ? count : 2 ** Math.floor(Math.log2(count));
  }

  /** Splits images that are all there into batches: full ones, then the rest. */
  split(count: number): number[] {
    const full = Array.from({ length: Math.floor(count / this.most) }, () => this.most);
    const rest = count % this.most;
    return rest > 0 ? [...full, rest] : full;
  }

  /** The size of the tensor for a batch of `count` images. */
  tensor(count: number): number {
    return this.fixed.find((size) => size >= count) ?? count;
  }

  /** Sizes to run once before the first request, so that none waits for a preparation. */
  get warmUp(): readonly number[] {
    return this.fixed.length > 0 ? this.fixed : [1];
  }
}

/** One for the quickest answer; from 8 on an image takes little time more. */
const cudaSizes = [1, 8, 16, 32];
