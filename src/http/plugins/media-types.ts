/** Content types that the service accepts. */

/** Content types of an image as the body. The first bytes decide the actual format. */
export const imageMediaTypes = [
  'image/jpeg',
  'image/png',
  'image/webp',
  'image/tiff',
  'application/octet-stream',
] as const;

/** Types that clients send for images, registered or not: image/jpg, image/pjpeg, image/x-png. */
export const anyImageType = /^image\//i;

export const multipartMediaType = 'multipart/form-data';

/** Returns whether a content type is multipart; types are case-insensitive (RFC 9110, section 8.3.1). */
export function isMultipart(contentType: string | undefined): boolean {
  return contentType?.split(';', 1)[0]?.trim().toLowerCase() === multipartMediaType;
}
