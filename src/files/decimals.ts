/** Figures as people read them: without digits that a float32 does not have. */

/** Returns the shortest decimal number that is the same float32: 2.2916 instead of 2.2915999889373779. */
export function shortest(value: number): number {
  const exact = Math.fround(value);
  for (let digits = 6; digits < 9; digits++) {
    const short = Number(exact.toPrecision(digits));
    if (Math.fround(short) === exact) return short;
  }
  return Number(exact.toPrecision(9));
}

/** Returns JSON whose numbers have seven significant digits, as many as a float32. @param space as for JSON.stringify */
export function roundedJson(value: unknown, space?: number): string {
  const round = (_key: string, entry: unknown): unknown =>
    typeof entry === 'number' && !Number.isInteger(entry) ? significant(entry, 7) : entry;
  return `${JSON.stringify(value, round, space)}\n`;
}

/** Returns a number with so many significant digits. */
export function significant(value: number, digits: number): number {
  return Number(value.toPrecision(digits));
}
