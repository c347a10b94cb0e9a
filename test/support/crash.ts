/** A model recipe that crashes the inference worker. */
export function crash(): never {
  process.exit(7);
}
