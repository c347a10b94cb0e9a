/** Work that hangs: a disk or a network that does not answer cannot be interrupted, only left behind. */

/** Work made no progress for too long. It may still hang. */
export class StuckError extends Error {
  override readonly name = 'StuckError';
}

/**
 * Does work until it makes no progress for a time.
 * @param work calls `moved` whenever it got further.
 * @throws StuckError
 */
export async function untilStuck<Result>(
  limitMs: number,
  work: (moved: () => void) => Promise<Result>,
): Promise<Result> {
  let timer: NodeJS.Timeout | undefined;
  const stuck = new Promise<never>((_, reject) => {
    const message = `no progress for ${limitMs / 1000} s: a disk, a network or a file does not answer`;
    timer = setTimeout(() => reject(new StuckError(message)), limitMs);
  });
  try {
    return await Promise.race([work(() => timer?.refresh()), stuck]);
  } finally {
    clearTimeout(timer);
  }
}
