/** Why an image cannot be used. */
export type ImageErrorKind = 'empty' | 'unsupported' | 'damaged' | 'too-many-bytes' | 'too-many-pixels';

/** The image cannot be used. The message says what is wrong and what would be right. */
export class ImageError extends Error {
  override readonly name = 'ImageError';

  constructor(
    readonly kind: ImageErrorKind,
    message: string,
  ) {
    super(message);
  }
}

/** Returns the error of a file that its decoder does not accept. */
export function damaged(format: string, error: unknown): ImageError {
  const lines = (error instanceof Error ? error.message : String(error)).split('\n');
  // The first line may only say that a warning counts.
  const reason = lines.find((line) => !line.startsWith('Warning treated as error')) ?? lines[0];
  return new ImageError('damaged', `the ${format} is damaged or incomplete: ${reason}`);
}
