/** Rows of scored images, as JSON lines or Parquet. */
import { parquetWriteBuffer } from 'hyparquet-writer';
import type { ImageScore } from '../scoring/index.js';
import type { RowFormat } from './tasks.js';

/** What is known of an image: its score, or why it has none. */
export interface ScoredRow extends ImageScore {
  readonly image: string;
  readonly detector: string;
  readonly version: string;
}

export interface FailedRow {
  readonly image: string;
  readonly detector: string;
  readonly version: string;
  readonly error: string;
}

export type Row = ScoredRow | FailedRow;

/** Returns the content of a file of rows. */
export function encodeRows(rows: readonly Row[], format: RowFormat): Uint8Array {
  if (format === 'parquet') return parquetOf(rows);
  return Buffer.from(rows.map((row) => `${JSON.stringify(row)}\n`).join(''));
}

/** Plain columns for what queries filter by; what has parts of its own is JSON. */
function parquetOf(rows: readonly Row[]): Uint8Array {
  const of = (name: keyof ScoredRow | 'error'): unknown[] =>
    rows.map((row) => Reflect.get(row, name) ?? null);
  const json = (name: keyof ScoredRow): unknown[] =>
    of(name).map((value) => (value === null ? null : JSON.stringify(value)));
  const texts = ['image', 'detector', 'version', 'verdict', 'error'] as const;
  const numbers = ['score', 'threshold', 'pValue'] as const;
  const flags = ['pValueIsBound'] as const;
  const parts = ['layers', 'peak', 'tiles', 'warnings'] as const;
  return new Uint8Array(
    parquetWriteBuffer({
      columnData: [
        ...texts.map((name) => ({ name, data: of(name), type: 'STRING' as const, nullable: true })),
        ...numbers.map((name) => ({ name, data: of(name), type: 'DOUBLE' as const, nullable: true })),
        ...flags.map((name) => ({ name, data: of(name), type: 'BOOLEAN' as const, nullable: true })),
        ...parts.map((name) => ({ name, data: json(name), type: 'STRING' as const, nullable: true })),
      ],
    }),
  );
}
