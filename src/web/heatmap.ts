/** Heatmaps as layers over photos. */

/** The map is smooth: more pixels show no more of it. */
const mostPixels = 1024;

/** Returns the heatmap with what is dark on it transparent, so that the photo shows there. @param heatmap PNG @returns PNG */
export async function asLayer(heatmap: Blob): Promise<Blob> {
  const whole = await createImageBitmap(heatmap);
  const scale = Math.min(1, mostPixels / Math.max(whole.width, whole.height));
  const [width, height] = [whole.width, whole.height].map((side) =>
    Math.max(1, Math.round(side * scale)),
  ) as [number, number];
  const canvas = new OffscreenCanvas(width, height);
  const context = canvas.getContext('2d') as OffscreenCanvasRenderingContext2D;
  context.drawImage(whole, 0, 0, width, height);
  whole.close();
  const picture = context.getImageData(0, 0, width, height);
  const { data } = picture;
  for (let at = 0; at < data.length; at += 4) {
    const [red, green, blue] = [data[at] as number, data[at + 1] as number, data[at + 2] as number];
    // Luminance of sRGB, raised so that red is more than a hint.
    const dark = 1 - (0.2126 * red + 0.7152 * green + 0.0722 * blue) / 255;
    data[at + 3] = 255 * (1 - dark ** 3);
  }
  context.putImageData(picture, 0, 0);
  return canvas.convertToBlob();
}
