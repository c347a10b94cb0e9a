/** Reading the images of a request: multipart with one or more files, or one image as the body. */
import type { FastifyRequest } from 'fastify';
import { type ImageLimits, isImageFile } from '../../imaging/index.js';
import type { Deadline } from '../../scoring/index.js';
import type { Upload } from '../scoring-service.js';
import { isMultipart, multipartMediaType } from './media-types.js';
import { readParts } from './parts.js';
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
    ? await readMultipart(request, limits, image, deadline)
    : request.body instanceof Uint8Array && request.body.length > 0
      ? [{ name: undefined, image: request.body }]
      : [];
  if (uploads.length > 0) return uploads;
  throw new ProblemError(
    'no-image',
    `the request has no image; send ${multipartMediaType} with one or more files, or an image as the body`,
  );
}

/** Types of parts that are files, also without a file name. What is no image among them gets an error in its place. */
const fileType = /^(image|multipart)\/|^application\/octet-stream/i;

async function readMultipart(
  request: FastifyRequest,
  { maxImages, maxRequestBytes }: UploadLimits,
  { maxBytes }: ImageLimits,
  deadline: Deadline,
): Promise<Upload[]> {
  const uploads: Upload[] = [];
  let [total, fields] = [0, 0];
  const limits = {
    parts: 2 * maxImages,
    bytes: maxBytes,
    tooMany: () => tooManyImages(maxImages),
    onBytes: (count: number) => request.byteHold.add(count),
  };
  await readParts(request, limits, deadline, ({ name, type, bytes }) => {
    total += bytes.length;
    if (total > maxRequestBytes) {
      throw new ProblemError(
        'too-many-bytes',
        `the images have more than ${maxRequestBytes} bytes together; send them in several requests`,
      );
    }
    if (name === undefined && !fileType.test(type) && !isImageFile(bytes)) {
      if (++fields > maxImages) throw tooManyFields(maxImages);
      return;
    }
    if (uploads.length === maxImages) throw tooManyImages(maxImages);
    uploads.push({ name, image: bytes });
  });
  return uploads;
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
