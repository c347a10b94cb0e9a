/** GET /v1/results/{id} and its pictures: what was scored lately. */

import type { FastifyPluginAsyncTypebox } from '@fastify/type-provider-typebox';
import { sendArtifact } from '../artifacts.js';
import { patienceOf } from '../inference.js';
import { mapRequest } from '../result-store.js';
import {
  artifactParamsSchema,
  patienceHeadersSchema,
  resultParamsSchema,
  resultQuerySchema,
  storedResultSchema,
} from '../schemas.js';
import type { ServiceState } from '../state.js';
import { binaryContent, problemResponses } from './responses.js';

export const resultRoutes: FastifyPluginAsyncTypebox<{ state: ServiceState }> = async (app, { state }) => {
  app.get(
    '/v1/results/:id',
    {
      schema: {
        operationId: 'getResult',
        tags: ['scoring'],
        summary: 'A result of the last minutes',
        params: resultParamsSchema,
        response: { 200: storedResultSchema, ...problemResponses },
      },
    },
    async (request) => {
      const { detectorName, version, result } = state.store.get(request.params.id);
      return { detector: detectorName, version, result };
    },
  );

  app.get(
    '/v1/results/:id/:artifact',
    {
      schema: {
        operationId: 'getArtifact',
        tags: ['scoring'],
        summary: 'A picture or the map of a result, in the size of its image',
        params: artifactParamsSchema,
        querystring: resultQuerySchema,
        headers: patienceHeadersSchema,
        response: {
          200: { description: 'PNG, or .npy of float32', content: binaryContent },
          ...problemResponses,
        },
      },
    },
    async (request, reply) => {
      const stored = state.store.get(request.params.id);
      const map = mapRequest(request.query, stored.localization);
      const detector = await state.readyCatalog().acquire(stored.detectorName, stored.version);
      const { artifact } = request.params;
      const patience = patienceOf(request, state.timeoutMs);
      return sendArtifact(reply, state.scoring(), stored, detector, artifact, map, patience);
    },
  );
};
