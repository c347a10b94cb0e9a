/** Content types that the service takes. */

/** Content types of an image as the body. What it really is, its first bytes say. */
export const imageMediaTypes = [
  'image/jpeg',
  'image/png',
  'image/webp',
  'image/tiff',
  'application/octet-stream',
] as const;

export const multipartMediaType = 'multipart/form-data';
