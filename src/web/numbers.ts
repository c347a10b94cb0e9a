/** Numbers for people. */

/** Three significant digits, never in powers of ten for usual scores. */
export function short(value: number): string {
  if (value === 0) return '0';
  const digits = Math.max(0, 2 - Math.floor(Math.log10(Math.abs(value))));
  return value.toFixed(Math.min(digits, 6));
}

/** One good part in so many: for a share of 0.02 "1 in 50". */
export function oneIn(share: number): string {
  return share > 0 ? `1 in ${Math.max(1, Math.round(1 / share)).toLocaleString('en')}` : 'none';
}

export function percent(share: number): string {
  return `${(100 * share).toFixed(share < 0.1 ? 1 : 0)} %`;
}

export function milliseconds(value: number): string {
  return value < 1000 ? `${value.toFixed(0)} ms` : `${(value / 1000).toFixed(1)} s`;
}
