/**
 * The Open Inference Protocol V2 over HTTP, as in Triton and KServe: health, metadata, inference with JSON and
 * binary tensors, versions, and the extensions for repository and statistics. Its errors are `{"error": string}`.
 */
import type { FastifyPluginAsyncTypebox } from '@fastify/type-provider-typebox';
import { type Static, type TSchema, Type } from 'typebox';
import { Value } from 'typebox/value';
import type { DetectorStatus } from '../../repository/index.js';
import { readBody } from '../plugins/bodies.js';
import { deadlineOf } from '../plugins/clients.js';
import { packageVersion } from '../plugins/openapi.js';
import type { Service } from '../service.js';
import { deadlineHeadersSchema } from '../v1/schemas/index.js';
import { infer, lengthHeaderName } from './infer.js';
import { badRequest } from './inputs.js';
import { JsonThread } from './json-thread.js';
import { modelInputs, modelOutputs, platform } from './model.js';
import {
  errorSchema,
  indexRequestSchema,
  inferRequestSchema,
  inferResponseSchema,
  loadRequestSchema,
  modelMetadataSchema,
  repositoryIndexSchema,
  serverMetadataSchema,
  statisticsSchema,
} from './schemas.js';
import { statisticsOf } from './statistics.js';

const error = { description: 'What is wrong', content: { 'application/json': { schema: errorSchema } } };
const errors = { '4xx': error, '5xx': error };
const model = Type.Object({ model: Type.String({ minLength: 1, maxLength: 200 }) });
const modelVersion = Type.Object({
  ...model.properties,
  version: Type.String({ minLength: 1, maxLength: 100 }),
});
const empty = Type.Null({ description: 'No content' });
const tags = ['inference protocol v2'];

/** Paths of a model, with and without a version. */
interface ModelParams {
  readonly model: string;
  readonly version?: string;
}

export const v2Routes: FastifyPluginAsyncTypebox<{ service: Service }> = async (app, { service }) => {
  const thread = new JsonThread();
  app.addHook('onClose', () => thread.close());
  // Clients send any content type for JSON followed by binary tensors.
  app.removeAllContentTypeParsers();
  app.addContentTypeParser('*', readBody);
  app.get(
    '/v2',
    {
      schema: {
        operationId: 'v2Server',
        tags,
        summary: 'Server metadata',
        response: { 200: serverMetadataSchema, ...errors },
      },
    },
    async () => ({
      name: 'mkd',
      version: packageVersion,
      extensions: ['binary_tensor_data', 'model_repository', 'statistics'],
    }),
  );

  for (const [probe, holds, summary] of [
    ['live', () => true, 'The process answers'],
    ['ready', () => service.status === 'ready', 'Requests are accepted'],
  ] as const) {
    app.get(
      `/v2/health/${probe}`,
      {
        logLevel: 'warn',
        config: { scope: 'none' },
        schema: { operationId: `v2Health${probe}`, tags, summary, response: { 200: empty, 503: empty } },
      },
      async (_request, reply) => reply.code(holds() ? 200 : 503).send(null),
    );
  }

  for (const [path, params, suffix] of [
    ['/v2/models/:model', model, ''],
    ['/v2/models/:model/versions/:version', modelVersion, 'Version'],
  ] as const) {
    app.get(
      path,
      {
        schema: {
          operationId: `v2Model${suffix}`,
          tags,
          summary: 'Inputs and outputs of a detector',
          params,
          response: { 200: modelMetadataSchema, ...errors },
        },
      },
      async (request) => {
        const { model: name, version } = request.params as ModelParams;
        const catalog = service.readyCatalog();
        const detector = await catalog.acquire(name, version);
        const { versions } = catalog.repository.status(name);
        return {
          name,
          versions: versions.map((known) => known.version),
          platform,
          inputs: modelInputs,
          outputs: modelOutputs(detector),
        };
      },
    );

    app.get(
      `${path}/ready`,
      {
        schema: {
          operationId: `v2ModelReady${suffix}`,
          tags,
          summary: 'The detector is ready to score',
          params,
          response: { 200: empty, ...errors },
        },
      },
      async (request, reply) => {
        const { model: name, version } = request.params as ModelParams;
        await service.readyCatalog().acquire(name, version);
        return reply.send(null);
      },
    );

    app.get(
      `${path}/stats`,
      {
        schema: {
          operationId: `v2ModelStatistics${suffix}`,
          tags,
          summary: 'Statistics of the detector since the start',
          params,
          response: { 200: statisticsSchema, ...errors },
        },
      },
      async (request) => {
        const { model: name, version } = request.params as ModelParams;
        const { versions } = service.readyCatalog().repository.status(name);
        const wanted = versions.filter((known) => version === undefined || known.version === version);
        if (wanted.length === 0) await service.readyCatalog().acquire(name, version);
        return {
          model_stats: wanted.map((known) => statisticsOf(service.statistics.of(name, known.version))),
        };
      },
    );

    app.post(
      `${path}/infer`,
      {
        bodyLimit: service.uploads.maxRequestBytes,
        onRequest: async () => service.admission.refuseIfFull(),
        config: {
          accepts: { 'application/json': inferRequestSchema, 'application/octet-stream': undefined },
        },
        schema: {
          operationId: `v2Infer${suffix}`,
          tags,
          summary: 'Score images',
          description:
            "The input 'image' is BYTES [n], encoded images, or UINT8 [n, height, width, 3]. Outputs: score, threshold, p_value, " +
            'anomalous, direction, value, result_id; map only if it is requested. JSON, or JSON followed by binary tensors. ' +
            'If one image cannot be scored, the request fails. Parameters other than those of binary tensors are ignored.',
          params,
          headers: deadlineHeadersSchema,
          response: { 200: inferResponseSchema, ...errors },
        },
      },
      async (request, reply) => {
        const { json, binary } = await infer(service, thread, {
          ...(request.params as ModelParams),
          deadline: deadlineOf(request, service.timeoutMs),
          request,
          headers: request.headers,
          body: request.body,
          byteHold: request.byteHold,
        });
        if (binary.length === 0) return reply.type('application/json; charset=utf-8').send(json as never);
        return reply
          .header(lengthHeaderName, String(json.length))
          .type('application/octet-stream')
          .send(Buffer.concat([json, ...binary]) as never);
      },
    );
  }

  app.get(
    '/v2/models/stats',
    {
      schema: {
        operationId: 'v2Statistics',
        tags,
        summary: 'Statistics of all detectors since the start',
        response: { 200: statisticsSchema, ...errors },
      },
    },
    async () => ({ model_stats: service.statistics.all().map(statisticsOf) }),
  );

  app.post(
    '/v2/repository/index',
    {
      config: { accepts: { 'application/json': indexRequestSchema }, bodyIsOptional: true },
      schema: {
        operationId: 'v2RepositoryIndex',
        tags,
        summary: 'All detectors and their versions',
        response: { 200: repositoryIndexSchema, ...errors },
      },
    },
    async (request) => {
      const readyOnly = bodyOf(request.body, indexRequestSchema).ready === true;
      const all = service.readyCatalog().repository.list().flatMap(indexOf);
      return readyOnly ? all.filter((entry) => entry.state === 'READY') : all;
    },
  );

  for (const [action, summary] of [
    ['load', 'Read a detector into memory; it serves again if it was unloaded'],
    ['unload', 'Remove a detector from memory; it does not serve until it is loaded again'],
  ] as const) {
    app.post(
      `/v2/repository/models/:model/${action}`,
      {
        config: { scope: 'admin', accepts: { 'application/json': loadRequestSchema }, bodyIsOptional: true },
        schema: {
          operationId: `v2Repository${action}`,
          tags,
          summary: `${summary}. Needs an admin key.`,
          params: model,
          response: { 200: Type.Object({}), ...errors },
        },
      },
      async (request) => {
        bodyOf(request.body, loadRequestSchema);
        await service.readyCatalog().repository[action](request.params.model);
        return {};
      },
    );
  }
};

/** Reads a body that may be left out. @throws ProblemError if it does not follow the schema. */
function bodyOf<Schema extends TSchema>(body: unknown, schema: Schema): Static<Schema> {
  const text = body instanceof Uint8Array && body.length > 0 ? Buffer.from(body).toString('utf8') : '{}';
  let value: unknown;
  try {
    value = JSON.parse(text);
  } catch {}
  if (Value.Check(schema, value)) return value;
  throw badRequest('the body must be a JSON object as described in /docs; send that, or no body');
}

function indexOf({ name, available, versions, current }: DetectorStatus) {
  return versions.map(({ version, state, reason }) => {
    const serves = available && current !== undefined && state !== 'refused';
    return {
      name,
      version,
      state: serves ? 'READY' : 'UNAVAILABLE',
      reason: reason ?? (available ? '' : 'unloaded'),
    };
  });
}
