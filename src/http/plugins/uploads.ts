/** Reading the images of a request: multipart with one or more files, or one image as the body. */
import type { MultipartFile } from '@fastify/multipart';
import type { FastifyRequest } from 'fastify';
import { systemClock } from '../../batching/index.js';
import { type ImageLimits, isImageFile } from '../../imaging/index.js';
import type { Deadline } from '../../scoring/index.js';
import type { Upload } from '../scoring-service.js';
import { lateBody } from './bodies.js';
import type { ByteReservation } from './limits.js';
import { isMultipart, multipartMediaType } from './media-types.js';
import { countParts } from './part-count.js';
import { ProblemError } from './problems.js';

export interface UploadLimits {
  /** Images in one request. */
  readonly maxImages: number;
  /** Bytes of all images of a request together. */
  readonly maxRequestBytes: number;
}

export const defaultUploadLimits: UploadLimits = { maxImages: 32, maxRequestBytes: 128 * 2 ** 20 };

/**
 * Reads the images of a request.
 * @throws ProblemError if there is no image, or more than the limits allow; `request-timeout` if the body has not arrived when
 * the deadline passes.
 */
export async function readUploads(
  request: FastifyRequest,
  limits: UploadLimits,
  image: ImageLimits,
  deadline: Deadline,
): Promise<Upload[]> {
  const uploads = isMultipart(request.headers['content-type'])
    ? await beforeDeadline(request, deadline, readMultipart(request, limits, image))
    : request.body instanceof Uint8Array && request.body.length > 0
      ? [{ name: undefined, image: request.body }]
      : [];
  if (uploads.length > 0) return uploads;
  throw new ProblemError(
    'no-image',
    `the request has no image; send ${multipartMediaType} with one or more files, or an image as the body`,
  );
}

/** How often it is checked whether the parser still reads. */
const checkEveryMs = 250;

/** Checks without progress after which the parser counts as stuck. */
const stuckChecks = 8;

/**
 * Waits for a body. Some bodies make the parser stop without an error, a part without Content-Disposition for example: a
 * parser that reads nothing though there are bytes, or does not end though all have arrived, is stuck.
 */
async function beforeDeadline<Result>(
  { raw }: FastifyRequest,
  { atMs }: Deadline,
  work: Promise<Result>,
): Promise<Result> {
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
    return await Promise.race([work, late]);
  } finally {
    clearInterval(timer);
  }
}

async function readMultipart(
  request: FastifyRequest,
  { maxImages, maxRequestBytes }: UploadLimits,
  { maxBytes }: ImageLimits,
): Promise<Upload[]> {
  const uploads: Upload[] = [];
  let total = 0;
  const parts = request.parts({
    limits: {
      files: 2 * maxImages,
      fields: 0,
      parts: 2 * maxImages,
      fileSize: maxBytes,
      headerPairs: 50,
    },
    // A part without a file name is an image if its content is one; as a field it would be read as text.
    isPartAFile: () => true,
  });
  let [fields, read] = [0, 0];
  const arrived = countParts(request.raw);
  try {
    for await (const part of parts) {
      if (part.type !== 'file') continue;
      read++;
      const bytes = await fileOf(part, request.byteHold);
      total += bytes.length;
      if (total > maxRequestBytes) {
        throw new ProblemError(
          'too-many-bytes',
          `the images have more than ${maxRequestBytes} bytes together; send them in several requests`,
        );
      }
      if (part.filename === undefined && !isImageFile(bytes)) {
        if (++fields > maxImages) throw tooManyFields(maxImages);
        continue;
      }
      if (uploads.length === maxImages) throw tooManyImages(maxImages);
      uploads.push({ name: part.filename || undefined, image: bytes });
    }
  } catch (error) {
    throw explained(error, maxImages, maxBytes);
  }
  if (read === arrived()) return uploads;
  throw malformed(
    `of its ${arrived()} parts, ${arrived() - read} cannot be read; each needs a header Content-Disposition: form-data with a name`,
  );
}

function malformed(why: string): ProblemError {
  return new ProblemError('bad-request', `the multipart body is malformed: ${why}`);
}

async function fileOf({ file, filename }: MultipartFile, hold: ByteReservation): Promise<Buffer> {
  const chunks: Buffer[] = [];
  for await (const chunk of file as AsyncIterable<Buffer>) {
    hold.add(chunk.length);
    chunks.push(chunk);
  }
  if (file.truncated) {
    throw Object.assign(new Error(`${filename} is too large`), { code: 'FST_REQ_FILE_TOO_LARGE' });
  }
  return Buffer.concat(chunks);
}

function tooManyFields(most: number): ProblemError {
  return new ProblemError(
    'too-many-parts',
    `a request has at most ${most} form fields beside its images; leave them out, they are not read`,
  );
}

function tooManyImages(most: number): ProblemError {
  return new ProblemError('too-many-parts', `a request has at most ${most} images; send several requests`);
}

function explained(error: unknown, maxImages: number, maxBytes: number): unknown {
  const code: unknown = error instanceof Error ? Reflect.get(error, 'code') : undefined;
  if (code === 'FST_REQ_FILE_TOO_LARGE') {
    return new ProblemError('too-many-bytes', `an image has more than ${maxBytes} bytes, the maximum`);
  }
  if (code === 'FST_PARTS_LIMIT' || code === 'FST_FILES_LIMIT') return tooManyImages(maxImages);
  if (error instanceof ProblemError) return error;
  if (
    error instanceof Error &&
    /unexpected end|boundary|malformed|premature|multipart/i.test(error.message)
  ) {
    return malformed(error.message);
  }
  return error;
}
