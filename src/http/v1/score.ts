/** POST /v1/detectors/{detector}/score and /localize. */
import type { FastifyPluginAsyncTypebox } from '@fastify/type-provider-typebox';
import { methodFor, ScoringError } from '../../scoring/index.js';
import { deadlineOf } from '../plugins/clients.js';
import { imageProblem, ProblemError } from '../plugins/problems.js';
import { readUploads } from '../plugins/uploads.js';
import type { StoredResult } from '../result-store.js';
import type { FailedUpload } from '../scoring-service.js';
import type { Service } from '../service.js';
import { sendArtifact } from './artifacts.js';
import { binaryContent, problemResponses } from './responses.js';
import {
  deadlineHeadersSchema,
  detectorParamsSchema,
  localizeQuerySchema,
  type ScoreAnswer,
  scoreAnswerSchema,
  scoreQuerySchema,
} from './schemas/index.js';

export const scoreRoutes: FastifyPluginAsyncTypebox<{ service: Service }> = async (app, { service }) => {
  app.addHook('onRequest', async () => service.admission.refuseIfFull());
  // What Fastify makes of a schema with alternatives is slower, and is compiled during the first answer: 25 ms.
  app.setSerializerCompiler(() => JSON.stringify);

  app.post(
    '/v1/detectors/:detector/score',
    {
      config: { accepts: 'images' },
      schema: {
        operationId: 'score',
        tags: ['scoring'],
        summary: 'Score one or more images',
        description:
          'Send one image as the body, also as application/octet-stream, or several as multipart/form-data. One bad image among ' +
          'several fails alone: its entry in `results` has an error.',
        params: detectorParamsSchema,
        querystring: scoreQuerySchema,
        headers: deadlineHeadersSchema,
        response: { 200: scoreAnswerSchema, ...problemResponses },
      },
    },
    async (request) => {
      const { detector: name } = request.params;
      const { threshold, version, map = 'never' } = request.query;
      const detector = await service.readyCatalog().acquire(name, version);
      const uploads = await readUploads(
        request,
        service.uploads,
        service.image,
        deadlineOf(request, service.timeoutMs),
      );
      const outcomes = await service.scoring().score({ name, detector }, uploads, {
        map: map === 'never' ? undefined : methodFor(detector),
        mapIfAnomalous: map === 'anomalous',
        threshold,
        deadline: deadlineOf(request, service.timeoutMs),
        request,
      });
      return answerOf(name, detector.version, outcomes, service);
    },
  );

  app.post(
    '/v1/detectors/:detector/localize',
    {
      config: { accepts: 'images' },
      schema: {
        operationId: 'localize',
        tags: ['scoring'],
        summary: 'Show where an image is anomalous',
        description:
          'Returns a picture of one image, or with `as=json` the scores of one or more, with links to their pictures. Every ' +
          'picture has the headers `mkd-result-id`, `mkd-score`, `mkd-threshold` and `mkd-verdict`.',
        params: detectorParamsSchema,
        querystring: localizeQuerySchema,
        headers: deadlineHeadersSchema,
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
      const { detector: name } = request.params;
      const { as = 'heatmap', threshold, version, method } = request.query;
      const detector = await service.readyCatalog().acquire(name, version);
      const map = methodFor(detector, method);
      const uploads = await readUploads(
        request,
        service.uploads,
        service.image,
        deadlineOf(request, service.timeoutMs),
      );
      if (as !== 'json' && uploads.length > 1) {
        throw new ProblemError(
          'one-image-only',
          `${as} shows one image, the request has ${uploads.length}; use as=json and follow the links`,
        );
      }
      const deadline = deadlineOf(request, service.timeoutMs);
      const scoring = { map, threshold, deadline, request };
      const outcomes = await service.scoring().score({ name, detector }, uploads, scoring);
      const [outcome] = outcomes;
      if (as === 'json' || !outcome) {
        return reply.type('application/json').send(answerOf(name, detector.version, outcomes, service));
      }
      if ('error' in outcome) throw outcome.error;
      return sendArtifact(reply, service, outcome, detector, as, map);
    },
  );
};

/** Returns whether an image was refused because the queue was full. */
function isRefused(outcome: StoredResult | FailedUpload): boolean {
  return 'error' in outcome && outcome.error instanceof ScoringError && outcome.error.kind === 'queue-full';
}

/** @throws the error of the image, if the request had only one, or if the queue was full for all of them. */
function answerOf(
  detector: string,
  version: string,
  outcomes: readonly (StoredResult | FailedUpload)[],
  { metrics }: Service,
): ScoreAnswer {
  const [first] = outcomes;
  if (first && 'error' in first && (outcomes.length === 1 || outcomes.every(isRefused))) throw first.error;
  return {
    detector,
    version,
    results: outcomes.map((outcome) => {
      if (!('error' in outcome)) return outcome.result;
      const error = imageProblem(outcome.error, metrics);
      return { ...(outcome.name === undefined ? {} : { name: outcome.name }), error };
    }),
  };
}
