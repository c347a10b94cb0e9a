/** Small copies of photos. */

const thumbnailPixels = 208;

/** Returns the address of a small copy: two hundred photos of 12 megapixels would fill the memory. */
export async function thumbnailOf(photo: Blob): Promise<string | undefined> {
  const copy = await smallCopy(photo, thumbnailPixels);
  return copy && URL.createObjectURL(copy);
}

/** Returns a copy of this width, as WebP; undefined if the browser cannot show the format. */
export async function smallCopy(photo: Blob, width: number): Promise<Blob | undefined> {
  try {
    const bitmap = await createImageBitmap(photo, { resizeWidth: width, resizeQuality: 'medium' });
    const canvas = new OffscreenCanvas(bitmap.width, bitmap.height);
    canvas.getContext('bitmaprenderer')?.transferFromImageBitmap(bitmap);
    return await canvas.convertToBlob({ type: 'image/webp' });
  } catch {
    return undefined;
  }
}
