/** The self-test of a detector as data: images, and the scores and maps expected on any machine. */
import type { Manifest } from './manifest.js';

export interface SelfTest {
  /** uint8 [count, size, size, 3] */
  readonly images: Uint8Array;
  readonly count: number;
  readonly scores: Float32Array;
  /** [count, L] */
  readonly value: Float32Array;
  /** [count, L] */
  readonly direction: Float32Array;
  /** [count, size, size], by the detector's own localization method */
  readonly maps: Float32Array;
}

/** Tolerances for other processors, and for the shorter mantissa of CUDA convolutions. */
export const selfTestTolerance: Manifest['selfTest']['tolerance'] = {
  cpu: { score: 1e-4, map: 1e-2 },
  cuda: { score: 1e-2, map: 1e-1 },
};
