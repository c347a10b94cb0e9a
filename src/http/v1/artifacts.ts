/** Sends pictures and maps of a result. */
import { Readable } from 'node:stream';
import type { FastifyReply } from 'fastify';
import type { LoadedDetector, LocalizationMethod } from '../../detector/index.js';
import type { Artifact } from '../../imaging/index.js';
import { deadlineOf } from '../plugins/clients.js';
import type { StoredResult } from '../result-store.js';
import type { Service } from '../service.js';

const mediaTypes: Readonly<Record<Artifact, string>> = {
  heatmap: 'image/png',
  overlay: 'image/png',
  mask: 'image/png',
  map: 'application/x-npy',
};

/** A large body is sent in pieces of this size: handed to the socket whole, it would be copied in one go. */
const pieceBytes = 2 ** 20;

function* piecesOf(body: Buffer): Generator<Buffer> {
  for (let at = 0; at < body.length; at += pieceBytes) yield body.subarray(at, at + pieceBytes);
}

export async function sendArtifact(
  reply: FastifyReply,
  service: Service,
  stored: StoredResult,
  detector: LoadedDetector,
  artifact: Artifact,
  map: LocalizationMethod,
): Promise<FastifyReply> {
  const { request } = reply;
  const deadline = deadlineOf(request, service.timeoutMs);
  const body = await service.scoring().artifact(stored, detector, artifact, map, { deadline, request });
  const { id, score, threshold, verdict } = stored.result;
  reply.headers({
    'mkd-result-id': id,
    'mkd-score': String(score),
    'mkd-threshold': String(threshold),
    'mkd-verdict': verdict,
  });
  return sendBytes(reply, mediaTypes[artifact], body);
}

/** Sends the image of a result as people see it. */
export async function sendPhoto(
  reply: FastifyReply,
  service: Service,
  stored: StoredResult,
): Promise<FastifyReply> {
  const { request } = reply;
  const detector = await service.readyCatalog().acquire(stored.detectorName, stored.version);
  const deadline = deadlineOf(request, service.timeoutMs);
  const png = await service.scoring().photo(stored, detector, { deadline, request });
  return sendBytes(reply, 'image/png', png);
}

/** Sends the good photo that is most like the image of a result. */
export async function sendNearest(
  reply: FastifyReply,
  service: Service,
  stored: StoredResult,
): Promise<FastifyReply> {
  const { request } = reply;
  const deadline = deadlineOf(request, service.timeoutMs);
  const { name, png } = await service.nearestPhoto(stored, { deadline, request });
  return sendBytes(reply.header('mkd-photo', encodeURIComponent(name)), 'image/png', png);
}

function sendBytes(reply: FastifyReply, mediaType: string, body: Buffer): FastifyReply {
  // The client may read it slowly.
  reply.request.byteHold.add(body.length);
  return reply
    .type(mediaType)
    .header('content-length', String(body.length))
    .send(body.length > pieceBytes ? Readable.from(piecesOf(body)) : body);
}
