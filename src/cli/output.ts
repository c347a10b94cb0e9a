/** Where commands write: the process's own streams, or a test's. */
import type { Writable } from 'node:stream';

export interface Output {
  /** Results. */
  readonly stdout: Writable;
  /** Progress, warnings and errors. */
  readonly stderr: Writable & { readonly isTTY?: boolean };
}

/** The command failed and has already said why. */
export class ReportedFailure extends Error {
  override readonly name = 'ReportedFailure';
}
