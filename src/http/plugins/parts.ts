/** Reads the parts of a multipart body, each of them or none. */
import type { MultipartFile } from '@fastify/multipart';
import type { FastifyRequest } from 'fastify';
import { systemClock } from '../../batching/index.js';
import type { Deadline } from '../../scoring/index.js';
import { lateBody } from './bodies.js';
import { countParts } from './part-count.js';
import { ProblemError } from './problems.js';

export interface PartLimits {
  /** Parts of a body. */
  readonly parts: number;
  /** Bytes of a part. */
  readonly bytes: number;
  /** Returns what a body with more parts gets. */
  readonly tooMany: () => ProblemError;
  /** Whether a part with more bytes is passed on, cut; by default it is an error. */
  readonly acceptCut?: boolean;
  /** Called with each chunk's bytes. @throws ProblemError if there is no room. */
  readonly onBytes?: (count: number) => void;
}

/** A part, whole. */
export interface Part {
  /** Name of its field. */
  readonly field: string;
  /** Name of its file, if it has one. */
  readonly name: string | undefined;
  readonly bytes: Buffer;
  /** Content type that the client names; text/plain if it names none. */
  readonly type: string;
  /** Whether it had more bytes than the limit. */
  readonly isCut?: boolean;
}

/**
 * Reads a multipart body part by part.
 * @throws ProblemError if it is malformed, has a part that cannot be read, exceeds the limits, or has not arrived when the
 * deadline passes; what `onPart` throws.
 */
export async function readParts(
  request: FastifyRequest,
  limits: PartLimits,
  deadline: Deadline,
  onPart: (part: Part) => Promise<void> | void,
): Promise<void> {
  await beforeDeadline(request, deadline, eachPart(request, limits, onPart));
}

/** How often it is checked whether the parser still reads. */
const checkEveryMs = 250;

/** Checks without progress after which the parser counts as stuck. */
const stuckChecks = 8;

/**
 * Waits for a body. Some bodies make the parser stop without an error, a part without Content-Disposition for example: a
 * parser that reads nothing though there are bytes, or does not end though all have arrived, is stuck.
 */
async function beforeDeadline(
  { raw }: FastifyRequest,
  { atMs }: Deadline,
  work: Promise<void>,
): Promise<void> {
  let timer: NodeJS.Timeout | undefined;
  let [unread, stuck] = [-1, 0];
  const late = new Promise<never>((_, reject) => {
    timer = setInterval(() => {
      const waits = raw.readableLength > 0 || raw.complete;
      stuck = waits && raw.readableLength === unread ? stuck + 1 : 0;
      unread = raw.readableLength;
      const late = systemClock.now() > atMs;
      if (stuck >= stuckChecks || (late && raw.complete)) {
        reject(
          malformed(
            'each part needs a header Content-Disposition: form-data with a name, and the body its closing boundary',
          ),
        );
      } else if (late) reject(lateBody());
    }, checkEveryMs);
  });
  // Whoever loses the race may still fail.
  work.catch(() => undefined);
  try {
    await Promise.race([work, late]);
  } finally {
    clearInterval(timer);
  }
}

async function eachPart(
  request: FastifyRequest,
  limits: PartLimits,
  onPart: (part: Part) => Promise<void> | void,
): Promise<void> {
  const parts = request.parts({
    limits: {
      files: limits.parts,
      fields: 0,
      parts: limits.parts,
      fileSize: limits.bytes,
      headerPairs: 50,
    },
    // A part without a file name is an image if its content is one; as a field it would be read as text.
    isPartAFile: () => true,
  });
  let read = 0;
  const arrived = countParts(request.raw);
  try {
    for await (const part of parts) {
      if (part.type !== 'file') continue;
      read++;
      const bytes = await contentOf(part, limits);
      const isCut = part.file.truncated;
      if (isCut && !limits.acceptCut) throw tooLarge(limits);
      await onPart({
        field: part.fieldname,
        name: part.filename || undefined,
        type: part.mimetype,
        bytes,
        isCut,
      });
    }
  } catch (error) {
    throw explained(error, limits);
  }
  if (read === arrived()) return;
  throw malformed(
    `of its ${arrived()} parts, ${arrived() - read} cannot be read; each needs a header Content-Disposition: form-data with a name`,
  );
}

async function contentOf({ file }: MultipartFile, { onBytes }: PartLimits): Promise<Buffer> {
  const chunks: Buffer[] = [];
  for await (const chunk of file as AsyncIterable<Buffer>) {
    onBytes?.(chunk.length);
    chunks.push(chunk);
  }
  return Buffer.concat(chunks);
}

function malformed(why: string): ProblemError {
  return new ProblemError('bad-request', `the multipart body is malformed: ${why}`);
}

function tooLarge({ bytes }: PartLimits): ProblemError {
  return new ProblemError('too-many-bytes', `an image has more than ${bytes} bytes, the maximum`);
}

function explained(error: unknown, { tooMany }: PartLimits): unknown {
  const code: unknown = error instanceof Error ? Reflect.get(error, 'code') : undefined;
  if (code === 'FST_PARTS_LIMIT' || code === 'FST_FILES_LIMIT') return tooMany();
  if (error instanceof ProblemError) return error;
  if (
    error instanceof Error &&
    /unexpected end|boundary|malformed|premature|multipart/i.test(error.message)
  ) {
    return malformed(error.message);
  }
  return error;
}
