/** /v1/detectors: lists the detectors and, with an admin key, changes them. */

import { Readable } from 'node:stream';
import { setImmediate as nextTurn } from 'node:timers/promises';
import type { FastifyPluginAsyncTypebox } from '@fastify/type-provider-typebox';
import { Type } from 'typebox';
import type { DetectorRepository, DetectorStatus } from '../../repository/index.js';
import { archiveMediaTypes } from '../plugins/media-types.js';
import { ProblemError } from '../plugins/problems.js';
import type { Service } from '../service.js';
import { addAdminRules } from './admin.js';
import { problemResponses } from './responses.js';
import {
  currentVersionSchema,
  detectorInfoSchema,
  detectorListSchema,
  detectorParamsSchema,
  newThresholdSchema,
  thresholdSchema,
  uploadedSchema,
  uploadQuerySchema,
  versionParamsSchema,
  versionQuerySchema,
} from './schemas/index.js';

/** Returns an upload as a stream; it comes as bytes if its content type is octet-stream. */
function archiveOf(body: unknown): Readable {
  if (body instanceof Readable) return body;
  if (body instanceof Uint8Array) return Readable.from([body]);
  throw new ProblemError(
    'bad-request',
    `the request has no archive; send a tar archive as ${archiveMediaTypes.join(' or ')}`,
  );
}

export const detectorRoutes: FastifyPluginAsyncTypebox<{ service: Service }> = async (app, { service }) => {
  const repository = repositoryOf(service);

  app.get(
    '/v1/detectors',
    {
      schema: {
        operationId: 'listDetectors',
        tags: ['detectors'],
        summary: 'All detectors, including refused ones',
        response: { 200: detectorListSchema, ...problemResponses },
      },
    },
    async () => {
      const all = repository().list();
      const detectors = [];
      for (const [at, status] of all.entries()) {
        // A thousand in one go hold the event loop for 50 ms, the first time.
        if (at % 100 === 99) await nextTurn();
        detectors.push(...summary(status, service));
      }
      return {
        provider: service.readyCatalog().provider,
        detectors,
        refused: all.flatMap(({ name, reasons }) => reasons.map((reason) => ({ name, reason }))),
      };
    },
  );

  app.get(
    '/v1/detectors/:detector',
    {
      schema: {
        operationId: 'getDetector',
        tags: ['detectors'],
        summary: 'Versions of a detector, and the manifest and calibration of one',
        params: detectorParamsSchema,
        querystring: versionQuerySchema,
        response: { 200: detectorInfoSchema, ...problemResponses },
      },
    },
    async ({ params, query }) => {
      const { provider } = service.readyCatalog();
      const name = params.detector;
      const detector = await repository().acquire(name, query.version);
      const { version, manifest } = detector;
      const { versions } = repository().status(name);
      const photosKept = await service.photosKept(name, detector);
      return { name, version, provider, versions: [...versions], photosKept, manifest };
    },
  );

  await app.register(adminRoutes, { service });
};

/** Operations that change detectors. */
const adminRoutes: FastifyPluginAsyncTypebox<{ service: Service }> = async (admin, { service }) => {
  const repository = repositoryOf(service);

  addAdminRules(admin);
  const parseJson = admin.getDefaultJsonParser('error', 'error');
  admin.addContentTypeParser('application/json', { parseAs: 'string' }, parseJson);

  admin.post(
    '/v1/detectors/:detector/versions',
    {
      config: {
        accepts: Object.fromEntries(
          [...archiveMediaTypes, 'application/octet-stream'].map((type) => [type, undefined]),
        ),
      },
      bodyLimit: 64 * 2 ** 20,
      schema: {
        operationId: 'uploadVersion',
        tags: ['detectors'],
        summary: 'Upload a detector, or a version of one',
        description:
          'A tar archive, gzipped or not, of manifest.json, cloner.safetensors and self-test.safetensors. The detector runs ' +
          'its self-test and serves only if it passes; otherwise nothing changes. Uploading a version that is damaged on ' +
          'disk repairs it. Needs an admin key.',
        params: detectorParamsSchema,
        querystring: uploadQuerySchema,
        response: { 200: uploadedSchema, 201: uploadedSchema, ...problemResponses },
      },
    },
    async ({ params, query, body }, reply) => {
      const archive = archiveOf(body);
      const { version, added } = await repository().add(params.detector, archive, query.activate ?? true);
      const { versions } = repository().status(params.detector);
      const current = versions.some((other) => other.current && other.version === version);
      return reply.code(added ? 201 : 200).send({ detector: params.detector, version, current });
    },
  );

  admin.post(
    '/v1/detectors/:detector/versions/:version/activate',
    {
      schema: {
        operationId: 'activateVersion',
        tags: ['detectors'],
        summary: 'Make a version the current one',
        description: 'Running requests keep the version they started with. Needs an admin key.',
        params: versionParamsSchema,
        response: { 200: currentVersionSchema, ...problemResponses },
      },
    },
    async ({ params: { detector, version } }) => {
      await repository().activate(detector, version);
      return { detector, version };
    },
  );

  admin.put(
    '/v1/detectors/:detector/threshold',
    {
      // The validator takes null and texts for numbers.
      preValidation: async ({ body }) => checkIsNumber(body),
      config: { accepts: { 'application/json': newThresholdSchema } },
      schema: {
        operationId: 'setThreshold',
        tags: ['detectors'],
        summary: 'Set the threshold by hand',
        description:
          'Adds a version with this threshold, which serves from then on; a rollback restores the one before. Needs an admin key.',
        params: detectorParamsSchema,
        body: newThresholdSchema,
        response: { 200: thresholdSchema, ...problemResponses },
      },
    },
    async ({ params: { detector }, body: { threshold } }) => ({
      detector,
      threshold,
      ...(await repository().setThreshold(detector, threshold)),
    }),
  );

  admin.post(
    '/v1/detectors/:detector/rollback',
    {
      schema: {
        operationId: 'rollBack',
        tags: ['detectors'],
        summary: 'Roll back to the version that was current before',
        description: 'Needs an admin key.',
        params: detectorParamsSchema,
        response: { 200: currentVersionSchema, ...problemResponses },
      },
    },
    async ({ params: { detector } }) => ({ detector, version: await repository().rollBack(detector) }),
  );

  admin.delete(
    '/v1/detectors/:detector/versions/:version',
    {
      schema: {
        operationId: 'retireVersion',
        tags: ['detectors'],
        summary: 'Remove a version that is not the current one',
        description: 'Its files are deleted. Needs an admin key.',
        params: versionParamsSchema,
        response: { 204: Type.Null(), ...problemResponses },
      },
    },
    async ({ params }, reply) => {
      await repository().retire(params.detector, params.version);
      return reply.code(204).send(null);
    },
  );

  admin.delete(
    '/v1/detectors/:detector',
    {
      schema: {
        operationId: 'retireDetector',
        tags: ['detectors'],
        summary: 'Remove a detector with all its versions',
        description: 'Its files are deleted. Needs an admin key.',
        params: detectorParamsSchema,
        response: { 204: Type.Null(), ...problemResponses },
      },
    },
    async ({ params }, reply) => {
      await repository().retire(params.detector);
      return reply.code(204).send(null);
    },
  );
};

/** @throws ProblemError if a body's threshold is something else than a number. */
function checkIsNumber(body: unknown): void {
  const threshold: unknown = typeof body === 'object' && body !== null && Reflect.get(body, 'threshold');
  if (typeof threshold === 'number') return;
  throw new ProblemError(
    'bad-request',
    `the body must be an object with a number, such as {"threshold": 7.5}`,
  );
}

function repositoryOf(service: Service): () => DetectorRepository {
  return () => service.readyCatalog().repository;
}

function summary({ name, current, versions, available }: DetectorStatus, service: Service) {
  if (!current) return [];
  const { folder: _, ...made } = current;
  const loaded = versions.some((other) => other.current && other.loaded);
  const { lastDay, drift } = service.activity(name);
  const activity = {
    lastDay: { ...lastDay, meanScores: [...lastDay.meanScores] },
    ...(drift === undefined ? {} : { drift }),
  };
  return [{ ...made, name, versions: versions.length, loaded, available, ...activity }];
}
