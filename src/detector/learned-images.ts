/**
 * The image files a cloner was trained on, identified by a hash of their contents. The cloner follows them more closely
 * than other images, so thresholds and figures measured on them are too good.
 */
import { createHash } from 'node:crypto';
import { tensorNames } from '../networks/index.js';
import type { ConstantTensor } from '../onnx/index.js';
import type { TensorMap } from '../weights/safetensors.js';

const tensorName = tensorNames.storedNames.learnedImages;
const bytesEach = 8;

export class LearnedImages {
  private constructor(private readonly fingerprints: ReadonlySet<string>) {}

  /** Reads the hashes from a cloner's tensors; without them the set is empty. */
  static among(tensors: TensorMap): LearnedImages {
    const data = Buffer.from((tensors.get(tensorName)?.data as Uint8Array | undefined) ?? []);
    const count = data.length / bytesEach;
    return new LearnedImages(
      new Set(
        Array.from({ length: count }, (_, file) =>
          data.toString('hex', file * bytesEach, (file + 1) * bytesEach),
        ),
      ),
    );
  }

  /** Returns whether the cloner was trained on a file with these contents. */
  has(file: Uint8Array): boolean {
    return this.hasSha256(createHash('sha256').update(file).digest());
  }

  /** Returns the same by SHA-256 of the contents. */
  hasSha256(sha256: Buffer): boolean {
    return this.fingerprints.has(sha256.toString('hex', 0, bytesEach));
  }
}

/** @param sha256 of each file. */
export function learnedImagesTensor(sha256: readonly Uint8Array[]): [name: string, tensor: ConstantTensor] {
  const data = Uint8Array.from(sha256.flatMap((digest) => [...digest.subarray(0, bytesEach)]));
  return [tensorName, { type: 'uint8', shape: [sha256.length, bytesEach], data }];
}
