/** Small copies of photos. */

const thumbnailPixels = 208;

/** Returns the address of a small copy: two hundred photos of 12 megapixels would fill the memory. */
export async function thumbnailOf(photo: Blob): Promise<string | undefined> {
  try {
    const bitmap = await createImageBitmap(photo, { resizeWidth: thumbnailPixels, resizeQuality: 'medium' });
    const canvas = new OffscreenCanvas(bitmap.width, bitmap.height);
    canvas.getContext('bitmaprenderer')?.transferFromImageBitmap(bitmap);
    return URL.createObjectURL(await canvas.convertToBlob({ type: 'image/webp' }));
  } catch {
    return undefined;
  }
}
