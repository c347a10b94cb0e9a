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

/** Returns a number with so many significant digits. */
export function significant(value: number, digits: number): number {
  return Number(value.toPrecision(digits));
}
