/** GET /v1/results/{id} and its pictures: recent results. */
import type { FastifyPluginAsyncTypebox } from '@fastify/type-provider-typebox';
import { methodFor } from '../../scoring/index.js';
import type { Service } from '../service.js';
import { sendArtifact, sendNearest, sendPhoto } from './artifacts.js';
import { binaryContent, pngResponses, problemResponses } from './responses.js';
import {
  artifactParamsSchema,
  deadlineHeadersSchema,
  resultParamsSchema,
  resultQuerySchema,
  storedResultSchema,
} from './schemas/index.js';

export const resultRoutes: FastifyPluginAsyncTypebox<{ service: Service }> = async (app, { service }) => {
  app.get(
    '/v1/results/:id',
    {
      schema: {
        operationId: 'getResult',
        tags: ['scoring'],
        summary: 'A recent result',
        params: resultParamsSchema,
        response: { 200: storedResultSchema, ...problemResponses },
      },
    },
    async (request) => {
      const { detectorName, version, result } = await service.results.get(request.params.id);
      return { detector: detectorName, version, result };
    },
  );

  app.get(
    '/v1/results/:id/photo',
    {
      schema: {
        operationId: 'getPhoto',
        tags: ['scoring'],
        summary: 'The image of a result, as people see it',
        description: 'Upright, with 8 bits per sample.',
        params: resultParamsSchema,
        headers: deadlineHeadersSchema,
        response: pngResponses,
      },
    },
    async (request, reply) => sendPhoto(reply, service, await service.results.get(request.params.id)),
  );

  app.get(
    '/v1/results/:id/nearest',
    {
      schema: {
        operationId: 'getNearestPhoto',
        tags: ['scoring'],
        summary: 'The good photo that is most like the image of a result',
        description:
          'As the detector sees it, in its own shape; where images are stretched, in that of the image. The header `mkd-photo` has its ' +
          'name, percent-encoded. Only if ' +
          'photos of the detector are kept: see `photosKept` of the detector.',
        params: resultParamsSchema,
        headers: deadlineHeadersSchema,
        response: pngResponses,
      },
    },
    async (request, reply) => sendNearest(reply, service, await service.results.get(request.params.id)),
  );

  app.get(
    '/v1/results/:id/:artifact',
    {
      schema: {
        operationId: 'getArtifact',
        tags: ['scoring'],
        summary: 'A picture or the map of a result, with the size of its image',
        params: artifactParamsSchema,
        querystring: resultQuerySchema,
        headers: deadlineHeadersSchema,
        response: {
          200: { description: 'PNG, or .npy of float32', content: binaryContent },
          ...problemResponses,
        },
      },
    },
    async (request, reply) => {
      const stored = await service.results.get(request.params.id);
      const detector = await service.readyCatalog().acquire(stored.detectorName, stored.version);
      const map = methodFor(detector, request.query.method);
      return sendArtifact(reply, service, stored, detector, request.params.artifact, map);
    },
  );
};
