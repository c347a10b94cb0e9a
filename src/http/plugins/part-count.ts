/** Counts the parts of a multipart body. The parser leaves out a part that it does not understand, without a word. */
import type { IncomingMessage } from 'node:http';

/** Counts the parts that have begun to arrive. */
export type PartCount = () => number;

/** Begins to count the parts of a body while another reader reads it (RFC 2046, section 5.1.1). */
export function countParts(raw: IncomingMessage): PartCount {
  const boundary = boundaryOf(raw.headers['content-type'] ?? '');
  const delimiter = Buffer.from(`\r\n--${boundary}`, 'latin1');
  // The first delimiter needs no line break before it.
  let unseen = Buffer.from('\r\n');
  let parts = 0;
  raw.on('data', (chunk: Buffer) => {
    const bytes = Buffer.concat([unseen, chunk]);
    let from = 0;
    for (;;) {
      const at = bytes.indexOf(delimiter, from);
      const end = at + delimiter.length;
      if (at < 0) from = Math.max(from, bytes.length - delimiter.length + 1);
      if (at < 0 || end + 2 > bytes.length) break;
      // Two hyphens follow the last one.
      if (bytes.toString('latin1', end, end + 2) !== '--') parts++;
      from = end;
    }
    unseen = bytes.subarray(from);
  });
  return () => parts;
}

function boundaryOf(contentType: string): string {
  const [, quoted, plain = ''] = /;\s*boundary=(?:"((?:\\.|[^"\\])*)"|([^;\s]+))/i.exec(contentType) ?? [];
  return quoted?.replace(/\\(.)/g, '$1') ?? plain;
}
