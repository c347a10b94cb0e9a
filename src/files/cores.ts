/** How many cores this process may use. */
import { readFileSync } from 'node:fs';
import { availableParallelism } from 'node:os';

/** Quota and period of a control group, version 2 and 1. */
const quotaFiles = [
  ['/sys/fs/cgroup/cpu.max'],
  ['/sys/fs/cgroup/cpu/cpu.cfs_quota_us', '/sys/fs/cgroup/cpu/cpu.cfs_period_us'],
] as const;

/**
 * Returns how many cores the quota of this container allows, at least 1; undefined without a quota.
 * @param read returns the text of a file; throws if there is none.
 */
export function quotaCores(read = (path: string) => readFileSync(path, 'utf8')): number | undefined {
  for (const files of quotaFiles) {
    try {
      const [quota = Number.NaN, period = Number.NaN] = files
        .map(read)
        .join(' ')
        .trim()
        .split(/\s+/)
        .map(Number);
      if (quota > 0 && period > 0) return Math.max(1, Math.ceil(quota / period));
    } catch {
      // There is no such control group.
    }
  }
  return undefined;
}

/** Returns the number of cores for this process: those of the machine, or fewer in a container with a quota. */
export function cores(): number {
  return Math.min(availableParallelism(), quotaCores() ?? Number.POSITIVE_INFINITY);
}
