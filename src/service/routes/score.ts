/** POST /v1/detectors/{detector}/score and /localize. */
import type { FastifyPluginAsyncTypebox } from '@fastify/type-provider-typebox';
import { sendArtifact } from '../artifacts.js';
import { patienceOf } from '../inference.js';
import { ProblemError, problemOf } from '../problems.js';
import { mapRequest, type StoredResult } from '../result-store.js';
import {
  detectorParamsSchema,
  localizeQuerySchema,
  patienceHeadersSchema,
  type ScoreAnswer,
  scoreAnswerSchema,
  scoreQuerySchema,
} from '../schemas.js';
import { checkedThreshold, type FailedUpload } from '../scoring.js';
import type { ServiceState } from '../state.js';
import { readUploads } from '../uploads.js';
import { binaryContent, problemResponses } from './responses.js';

export const scoreRoutes: FastifyPluginAsyncTypebox<{ state: ServiceState }> = async (app, { state }) => {
  app.addHook('onRequest', async () => state.admission.refuseIfFull());

  app.post(
    '/v1/detectors/:detector/score',
    {
      config: { takes: 'images' },
      schema: {
        operationId: 'score',
        tags: ['scoring'],
        summary: 'Score one or more images',
        description:
          'An image as the body, also as application/octet-stream, or several as multipart/form-data. One bad image among several fails ' +
          'alone: its place in `results` holds an error.',
        params: detectorParamsSchema,
        querystring: scoreQuerySchema,
        headers: patienceHeadersSchema,
        response: { 200: scoreAnswerSchema, ...problemResponses },
      },
    },
    async (request) => {
      const { detector } = request.params;
      const { threshold, version, map = 'never' } = request.query;
      const loaded = await state.readyCatalog().acquire(detector, version);
      const uploads = await readUploads(request, state.uploads, state.image);
      const outcomes = await state.scoring().score(detector, loaded, uploads, {
        map: map === 'never' ? 'none' : loaded.manifest.localization,
        mapsOf: map === 'anomalous' ? 'anomalous' : 'all',
        threshold,
        ...patienceOf(request, state.timeoutMs),
      });
      return answer(detector, loaded.version, outcomes);
    },
  );

  app.post(
    '/v1/detectors/:detector/localize',
    {
      config: { takes: 'images' },
      schema: {
        operationId: 'localize',
        tags: ['scoring'],
        summary: 'Show where an image is anomalous',
        description:
          'Gives a picture of one image, or with `as=json` the scores of one or more, whose pictures are then at their links. ' +
          'Headers `mkd-result-id`, `mkd-score`, `mkd-threshold` and `mkd-verdict` come with every picture.',
        params: detectorParamsSchema,
        querystring: localizeQuerySchema,
        headers: patienceHeadersSchema,
        response: {
          200: {
            description: 'The picture, the map, or scores',
            content: { ...binaryContent, 'application/json': { schema: scoreAnswerSchema } },
          },
          ...problemResponses,
        },
      },
    },
    async (request, reply) => {
      const { detector } = request.params;
      const { as = 'heatmap', method, layer, threshold, version } = request.query;
      const loaded = await state.readyCatalog().acquire(detector, version);
      const uploads = await readUploads(request, state.uploads, state.image);
      if (as !== 'json' && uploads.length > 1) {
        throw new ProblemError(
          'one-image-only',
          `${as} can be given for one image, the request has ${uploads.length}; use as=json and follow the links`,
        );
      }
      if (as === 'json' && layer !== undefined) {
        throw new ProblemError(
          'bad-request',
          'layer goes with a picture: ask for as=heatmap, overlay, mask or map',
        );
      }
      const chosen = mapRequest(
        { ...(method && { method }), ...(layer && { layer }) },
        loaded.manifest.localization,
      );
      // Before anything is computed.
      if (as !== 'json') checkedThreshold(loaded, chosen);
      const first = layer === undefined ? chosen.method : 'none';
      const patience = patienceOf(request, state.timeoutMs);
      const outcomes = await state
        .scoring()
        .score(detector, loaded, uploads, { map: first, threshold, ...patience });
      const [outcome] = outcomes;
      if (as === 'json' || !outcome) {
        return reply.type('application/json').send(answer(detector, loaded.version, outcomes));
      }
      if ('error' in outcome) throw outcome.error;
      return sendArtifact(reply, state.scoring(), outcome, loaded, as, chosen, patience);
    },
  );
};

/** Whether there was no room for an image. */
function isTurnedAway(outcome: StoredResult | FailedUpload): boolean {
  return 'error' in outcome && problemOf(outcome.error).kind === 'overloaded';
}

/** @throws the error of the image, where the request had only one, or there was no room for any. */
function answer(
  detector: string,
  version: string,
  outcomes: readonly (StoredResult | FailedUpload)[],
): ScoreAnswer {
  const [first] = outcomes;
  if (first && 'error' in first && (outcomes.length === 1 || outcomes.every(isTurnedAway))) throw first.error;
  return {
    detector,
    version,
    results: outcomes.map((outcome) => {
      if (!('error' in outcome)) return outcome.result;
      const { kind: _, ...error } = problemOf(outcome.error);
      return { ...(outcome.name === undefined ? {} : { name: outcome.name }), error };
    }),
  };
}
