/** The detector cannot be used; the message says what is wrong. */
export class DetectorError extends Error {
  override readonly name = 'DetectorError';
}
