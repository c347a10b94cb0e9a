/** Content types that the service accepts. */

/** Content types of an image as the body. The first bytes decide the actual format. */
export const imageMediaTypes = [
  'image/jpeg',
  'image/png',
  'image/webp',
  'image/tiff',
  'application/octet-stream',
] as const;

export const multipartMediaType = 'multipart/form-data';
