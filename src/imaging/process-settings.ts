/**
 * Settings of sharp that affect the whole process. Only the service and the command line apply them, because they own
 * their process; the library does not.
 */
import sharp from 'sharp';

export function applyProcessSettings(): void {
  // Blocks all loaders except those of the four formats from memory.
  sharp.block({ operation: ['VipsForeignLoad'] });
  sharp.unblock({
    operation: [
      'VipsForeignLoadJpegBuffer',
      'VipsForeignLoadPngBuffer',
      'VipsForeignLoadWebpBuffer',
      'VipsForeignLoadTiffBuffer',
    ],
  });
  // libvips would cache decoded images, but every image is decoded only once.
  sharp.cache(false);
  // One thread for each image, because several images are decoded at once and inference needs the cores.
  sharp.concurrency(1);
}
