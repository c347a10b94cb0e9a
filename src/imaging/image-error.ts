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
  const [reason = ''] = (error instanceof Error ? error.message : String(error)).split('\n');
  return new ImageError('damaged', `the ${format} is damaged or incomplete: ${reason}`);
}
