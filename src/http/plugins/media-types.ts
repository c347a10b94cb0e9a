/** Content types that the service accepts. */

/** Content types of an image as the body. The first bytes decide the actual format. */
export const imageMediaTypes = [
  'image/jpeg',
  'image/png',
  'image/webp',
  'image/tiff',
  'application/octet-stream',
] as const;

/** Content types of a tar archive as the body, gzipped or not. The first bytes decide whether it is gzipped. */
export const archiveMediaTypes = ['application/x-tar', 'application/gzip'] as const;

/** Types that clients send for images, registered or not: image/jpg, image/pjpeg, image/x-png. */
export const anyImageType = /^image\//i;

export const multipartMediaType = 'multipart/form-data';

/** Returns whether a content type is one of these; types are case-insensitive (RFC 9110, section 8.3.1). */
function isOneOf(types: readonly string[], contentType: string | undefined): boolean {
  return types.includes(contentType?.split(';', 1)[0]?.trim().toLowerCase() ?? '');
}

export function isMultipart(contentType: string | undefined): boolean {
  return isOneOf([multipartMediaType], contentType);
}

export function isArchive(contentType: string | undefined): boolean {
  return isOneOf(archiveMediaTypes, contentType);
}
