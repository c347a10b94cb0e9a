/** /v1/jobs: detectors made from uploaded photos, in the background. */
import { PassThrough, type Readable } from 'node:stream';
import type { FastifyPluginAsyncTypebox } from '@fastify/type-provider-typebox';
import type { FastifyReply, FastifyRequest } from 'fastify';
import { Type } from 'typebox';
import { hasEnded, type Job, type Jobs, summaryOf } from '../../jobs/index.js';
import { longestBodyMs } from '../plugins/bodies.js';
import { deadlineOf } from '../plugins/clients.js';
import { archiveMediaTypes, isMultipart, multipartMediaType } from '../plugins/media-types.js';
import { type Part, readParts } from '../plugins/parts.js';
import { ProblemError } from '../plugins/problems.js';
import { readTar } from '../plugins/tar.js';
import type { Service } from '../service.js';
import { addAdminRules } from './admin.js';
import { problemResponses } from './responses.js';
import {
  detectorParamsSchema,
  distillationQuerySchema,
  jobListSchema,
  jobParamsSchema,
  jobRecordSchema,
  photosBody,
} from './schemas/index.js';

/** Photos in one request; a job takes several. */
const mostParts = 2000;

/** How often a client is told that the connection lives. */
const beatMs = 15_000;

const photoBodies = {
  [multipartMediaType]: photosBody,
  ...Object.fromEntries(archiveMediaTypes.map((type) => [type, undefined])),
};

export const jobRoutes: FastifyPluginAsyncTypebox<{ service: Service }> = async (app, { service }) => {
  const jobs = (): Jobs => service.readyCatalog().jobs;

  app.get(
    '/v1/jobs',
    {
      schema: {
        operationId: 'listJobs',
        tags: ['jobs'],
        summary: 'All jobs, the newest first',
        response: { 200: jobListSchema, ...problemResponses },
      },
    },
    async () => ({ jobs: jobs().list() }),
  );

  app.get(
    '/v1/jobs/:job',
    {
      schema: {
        operationId: 'getJob',
        tags: ['jobs'],
        summary: 'A job with its photos: which are used, which are copies or cannot be read',
        params: jobParamsSchema,
        response: { 200: jobRecordSchema, ...problemResponses },
      },
    },
    async ({ params }) => jobs().get(params.job),
  );

  app.get(
    '/v1/jobs/:job/events',
    {
      schema: {
        operationId: 'followJob',
        tags: ['jobs'],
        summary: 'A job as it changes, as server-sent events',
        description:
          'Each event is named `job`, and its data is a job as in the list of jobs. The stream ends when the job has ended.',
        params: jobParamsSchema,
        response: {
          200: {
            description: 'Events',
            content: { 'text/event-stream': { schema: { type: 'string' } } },
          },
          ...problemResponses,
        },
      },
    },
    async (request, reply) => {
      const stream = eventsOf(jobs(), request.params.job, request);
      const plain: FastifyReply = reply;
      return plain.type('text/event-stream').header('cache-control', 'no-store').send(stream);
    },
  );

  await app.register(adminRoutes, { service });
};

/** Returns the events of a job until it has ended, the service stops, or the client is gone. */
function eventsOf(jobs: Jobs, id: string, { disconnected }: FastifyRequest): Readable {
  const stream = new PassThrough();
  const send = (job: Job | undefined): void => {
    if (job) stream.write(`event: job\ndata: ${JSON.stringify(job)}\n\n`);
    if (!job || hasEnded(job)) end();
  };
  const stop = jobs.watch(id, send);
  const beat = setInterval(() => stream.write(': \n\n'), beatMs);
  const end = (): void => {
    stop();
    clearInterval(beat);
    stream.end();
  };
  disconnected.addEventListener('abort', end);
  send(summaryOf(jobs.get(id)));
  return stream;
}

/** Operations that make detectors. */
const adminRoutes: FastifyPluginAsyncTypebox<{ service: Service }> = async (admin, { service }) => {
  const jobs = (): Jobs => service.readyCatalog().jobs;

  addAdminRules(admin);

  admin.post(
    '/v1/detectors/:detector/distillations',
    {
      config: { accepts: photoBodies, bodyIsOptional: true },
      schema: {
        operationId: 'distill',
        tags: ['jobs'],
        summary: 'Make a detector from photos of good parts',
        description:
          'Takes photos as multipart/form-data or as a tar archive, gzipped or not, and answers with a job, which is started ' +
          'unless `start` is false. Many photos are sent in several requests: the first with `start=false`, the others to ' +
          '/v1/jobs/{job}/photos. A part named `region` is the region of interest: a mask, or polygons as JSON. With `add` the ' +
          'photos are added to the detector. Needs an admin key.',
        params: detectorParamsSchema,
        querystring: distillationQuerySchema,
        response: { 202: jobRecordSchema, ...problemResponses },
      },
    },
    async (request, reply) => {
      const { start = true, ...settings } = request.query;
      const { id } = await jobs().create(request.params.detector, settings);
      try {
        await receive(request, service, id);
        const job = start ? await jobs().start(id) : await jobs().save(id);
        return await reply.code(202).header('location', `/v1/jobs/${id}`).send(job);
      } catch (error) {
        await jobs().delete(id);
        throw error;
      }
    },
  );

  admin.post(
    '/v1/jobs/:job/photos',
    {
      config: { accepts: photoBodies },
      schema: {
        operationId: 'addPhotos',
        tags: ['jobs'],
        summary: 'Add photos to a job that has not been started',
        description: 'As for `distill`. Needs an admin key.',
        params: jobParamsSchema,
        response: { 200: jobRecordSchema, ...problemResponses },
      },
    },
    async (request) => {
      const { job } = request.params;
      await receive(request, service, job);
      return jobs().save(job);
    },
  );

  admin.post(
    '/v1/jobs/:job/start',
    {
      schema: {
        operationId: 'startJob',
        tags: ['jobs'],
        summary: 'Start a job',
        description: 'Jobs run one after another. Needs an admin key.',
        params: jobParamsSchema,
        response: { 200: jobRecordSchema, ...problemResponses },
      },
    },
    async ({ params }) => jobs().start(params.job),
  );

  admin.delete(
    '/v1/jobs/:job',
    {
      schema: {
        operationId: 'deleteJob',
        tags: ['jobs'],
        summary: 'Cancel a job, or remove one that has ended',
        description: 'Its photos are deleted; the detector that it made stays. Needs an admin key.',
        params: jobParamsSchema,
        response: { 204: Type.Null(), ...problemResponses },
      },
    },
    async ({ params }, reply) => {
      await jobs().delete(params.job);
      return reply.code(204).send(null);
    },
  );
};

/** Reads the photos of a request into a job. @throws ProblemError, JobError, RepositoryError */
async function receive(request: FastifyRequest, service: Service, id: string): Promise<void> {
  const { jobs } = service.readyCatalog();
  const { maxBytes } = service.image;
  const add = async ({ field, name, bytes, isCut }: Part): Promise<void> => {
    if (isCut) jobs.refusePhoto(id, name, `it has more than ${maxBytes} bytes, the maximum`);
    else if (field === 'region') await jobs.setRegion(id, bytes);
    else await jobs.addPhoto(id, name, bytes);
  };
  if (isMultipart(request.headers['content-type'])) {
    const limits = { parts: mostParts, bytes: maxBytes, acceptCut: true, tooMany };
    await readParts(request, limits, deadlineOf(request, longestBodyMs), add);
  } else if (request.body) {
    await readTar(request.body as Readable, { bytes: maxBytes, files: mostParts, tooMany }, add);
  }
}

function tooMany(): ProblemError {
  return new ProblemError(
    'too-many-parts',
    `a request has at most ${mostParts} photos; send the others to /v1/jobs/{job}/photos`,
  );
}
