/**
 * Settings of sharp that count for a whole process. The library leaves them alone, since they are its user's; the service
 * and the command line, whose process is their own, apply them.
 */
import sharp from 'sharp';

export function applyProcessSettings(): void {
  // All loaders are blocked, except those of the four formats, from memory.
  sharp.block({ operation: ['VipsForeignLoad'] });
  sharp.unblock({
    operation: [
      'VipsForeignLoadJpegBuffer',
      'VipsForeignLoadPngBuffer',
      'VipsForeignLoadWebpBuffer',
      'VipsForeignLoadTiffBuffer',
    ],
  });
  // libvips caches what it decoded; here every image is decoded once.
  sharp.cache(false);
  // One thread for each image: several images are decoded at a time, and inference needs the cores.
  sharp.concurrency(1);
}
