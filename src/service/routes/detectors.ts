/** GET /v1/detectors: what can be scored with. */
import type { FastifyPluginAsyncTypebox } from '@fastify/type-provider-typebox';
import { detectorInfoSchema, detectorListSchema, detectorParamsSchema } from '../schemas.js';
import type { ServiceState } from '../state.js';
import { problemResponses } from './responses.js';

export const detectorRoutes: FastifyPluginAsyncTypebox<{ state: ServiceState }> = async (app, { state }) => {
  app.get(
    '/v1/detectors',
    {
      schema: {
        operationId: 'listDetectors',
        tags: ['detectors'],
        summary: 'All detectors, and those that were refused',
        response: { 200: detectorListSchema, ...problemResponses },
      },
    },
    async () => {
      const catalog = state.readyCatalog();
      return {
        provider: catalog.provider,
        detectors: [...catalog.detectors].map(([name, { version, manifest }]) => ({
          name,
          version,
          inputSize: manifest.inputSize,
          threshold: manifest.calibration.threshold,
        })),
        refused: [...catalog.refused],
      };
    },
  );

  app.get(
    '/v1/detectors/:detector',
    {
      schema: {
        operationId: 'getDetector',
        tags: ['detectors'],
        summary: 'Manifest and calibration of a detector',
        params: detectorParamsSchema,
        response: { 200: detectorInfoSchema, ...problemResponses },
      },
    },
    async (request) => {
      const catalog = state.readyCatalog();
      const { version, manifest } = catalog.get(request.params.detector);
      return { name: request.params.detector, version, provider: catalog.provider, manifest };
    },
  );
};
