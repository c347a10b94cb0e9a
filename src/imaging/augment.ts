/**
 * Augmentation that imitates repeated shots by an inspection camera: small rotations, shifts and scales, small changes
 * of brightness and contrast. No mirroring or large rotations, because a wrong orientation may be a defect.
 */
import sharp from 'sharp';

/** The parameters of one augmented copy. */
export interface Variation {
  /** Radians. */
  readonly rotation: number;
  /** 1 keeps the size. */
  readonly scale: number;
  /** As a share of the side. */
  readonly shift: readonly [right: number, down: number];
  /** Factor for differences from the mean brightness. */
  readonly contrast: number;
  /** Factor for the mean brightness. */
  readonly brightness: number;
}

/** Standard deviations of the variations (normal distributions). */
const deviations = { rotation: 0.03, scale: 0.03, shift: 0.02, contrast: 0.1, brightness: 0.1 } as const;

/** Variations are clipped to this many standard deviations. */
const maxDeviations = 2.5;

/** Draws a random variation. @param noise draws from the standard normal distribution. */
export function drawVariation(noise: () => number): Variation {
  const bounded = (): number => Math.max(-maxDeviations, Math.min(maxDeviations, noise()));
  return {
    rotation: deviations.rotation * bounded(),
    scale: 1 + deviations.scale * bounded(),
    shift: [deviations.shift * bounded(), deviations.shift * bounded()],
    contrast: Math.exp(deviations.contrast * bounded()),
    brightness: Math.exp(deviations.brightness * bounded()),
  };
}

/**
 * Applies a variation. New pixels at the borders are mirrored from the image.
 * @param pixels uint8 RGB [size, size, 3]
 */
export async function augment(pixels: Uint8Array, size: number, variation: Variation): Promise<Uint8Array> {
  const { rotation, scale, shift, contrast, brightness } = variation;
  const raw = (data: Uint8Array, width: number, height: number) =>
    sharp(data, { raw: { width, height, channels: 3 } });
  const margin = Math.ceil(0.25 * size);
  const side = size + 2 * margin;
  const extended = await raw(pixels, size, size)
    .extend({ top: margin, bottom: margin, left: margin, right: margin, extendWith: 'mirror' })
    .raw()
    .toBuffer();
  const [cosine, sine] = [scale * Math.cos(rotation), scale * Math.sin(rotation)];
  const turned = await raw(extended, side, side)
    .affine([cosine, -sine, sine, cosine], { interpolator: 'bicubic' })
    .raw()
    .toBuffer({ resolveWithObject: true });
  const { width, height } = turned.info;
  const mean = pixels.reduce((sum, value) => sum + value, 0) / pixels.length;
  return raw(turned.data, width, height)
    .extract({
      left: Math.round((width - size) / 2 - shift[0] * size),
      top: Math.round((height - size) / 2 - shift[1] * size),
      width: size,
      height: size,
    })
    .linear(contrast, mean * (brightness - contrast))
    .raw({ depth: 'uchar' })
    .toBuffer();
}
