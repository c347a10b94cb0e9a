/** Where commands write: the process's own streams, or a test's. */
import type { Writable } from 'node:stream';
import { roundedJson } from '../files/decimals.js';
import type { JsonFlag } from './options.js';

export interface Output {
  /** Results. */
  readonly stdout: Writable & { readonly isTTY?: boolean };
  /** Progress, warnings and errors. */
  readonly stderr: Writable & { readonly isTTY?: boolean };
}

/** Prints the result of a command: for programs as one JSON object in a line, for people as a text. */
export function printResult(
  { stdout }: Output,
  { json }: JsonFlag,
  result: object,
  text: () => string,
): void {
  stdout.write(json ? roundedJson(result) : text());
}

/** Collects warnings while a bar is drawn, and prints them when it has gone. */
export class Warnings {
  readonly #messages = new Set<string>();

  constructor(private readonly output: Output) {}

  readonly add = (message: string): void => {
    this.#messages.add(message);
  };

  print(): void {
    const [...all] = this.#messages;
    for (const message of all.slice(0, mostPrinted)) this.output.stderr.write(`mkd: ${message}\n`);
    if (all.length > mostPrinted) {
      this.output.stderr.write(`mkd: ${all.length - mostPrinted} more files have warnings like these\n`);
    }
    this.#messages.clear();
  }
}

const mostPrinted = 10;

/** The command failed and has already said why. */
export class ReportedFailure extends Error {
  override readonly name = 'ReportedFailure';
}
