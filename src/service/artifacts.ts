/** Sending pictures and maps of a result. */
import type { FastifyReply } from 'fastify';
import type { LoadedDetector } from '../detector/index.js';
import type { Patience } from './inference.js';
import type { MapRequest, StoredResult } from './result-store.js';
import type { Artifact, Scoring } from './scoring.js';

const mediaTypes: Readonly<Record<Artifact, string>> = {
  heatmap: 'image/png',
  overlay: 'image/png',
  mask: 'image/png',
  map: 'application/x-npy',
};

export async function sendArtifact(
  reply: FastifyReply,
  scoring: Scoring,
  stored: StoredResult,
  detector: LoadedDetector,
  artifact: Artifact,
  map: MapRequest,
  patience: Patience,
): Promise<FastifyReply> {
  const body = await scoring.artifact(stored, detector, artifact, map, patience);
  // A client may take its time to read it.
  reply.request.byteHold.add(body.length);
  const { id, score, threshold, verdict } = stored.result;
  return reply
    .headers({
      'mkd-result-id': id,
      'mkd-score': String(score),
      'mkd-threshold': String(threshold),
      'mkd-verdict': verdict,
    })
    .type(mediaTypes[artifact])
    .send(body);
}
