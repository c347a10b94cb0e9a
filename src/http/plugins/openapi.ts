/** The parts of openapi.yaml that are not schemas of routes. */
import { readFileSync } from 'node:fs';
import { isDeepStrictEqual } from 'node:util';
import type {
  FastifyDynamicSwaggerOptions,
  SwaggerTransform,
  SwaggerTransformObject,
} from '@fastify/swagger';
import type { FastifySchema } from 'fastify';
import { imageMediaTypes, multipartMediaType } from './media-types.js';

/** From package.json. */
export const packageVersion: string = (
  JSON.parse(readFileSync(new URL('../../../../package.json', import.meta.url), 'utf8')) as {
    version: string;
  }
).version;

export const openApiInfo: NonNullable<FastifyDynamicSwaggerOptions['openapi']> = {
  openapi: '3.1.0',
  info: {
    title: 'MKD',
    version: packageVersion,
    description:
      'Anomaly scores and localization maps of images by Multiresolution Knowledge Distillation. ' +
      'Errors are problem details (RFC 9457).',
    license: { name: 'MIT', identifier: 'MIT' },
  },
  components: {
    securitySchemes: {
      bearer: { type: 'http', scheme: 'bearer', description: 'API key, if the service requires one' },
      apiKey: {
        type: 'apiKey',
        in: 'header',
        name: 'X-API-Key',
        description: 'The same key in another header',
      },
    },
  },
  security: [{}, { bearer: [] }, { apiKey: [] }],
  tags: [
    { name: 'scoring', description: 'Scores and maps of images' },
    { name: 'detectors', description: 'Detectors and their versions' },
    { name: 'jobs', description: 'Detectors made from uploaded photos' },
    { name: 'inference protocol v2', description: 'For Triton and KServe clients' },
    { name: 'operations', description: 'Health, metrics, documentation' },
  ],
};

const binary = { type: 'string', format: 'binary' } as const;

const multipartBody = {
  title: 'Images',
  type: 'object',
  properties: {
    image: { type: 'array', items: binary, minItems: 1, description: 'One or more image files' },
  },
  required: ['image'],
} as const;

/** Bodies by content type: a schema for JSON, undefined for bytes. */
export type AcceptedBodies = Readonly<Record<string, object | undefined>>;

declare module 'fastify' {
  interface FastifyContextConfig {
    /** The body, if the route reads it itself. */
    accepts?: 'images' | AcceptedBodies;
    /** Whether the body may be omitted. */
    bodyIsOptional?: true;
  }
}

/** Documents the bodies of routes that read them themselves; the routes check the bytes. */
export const withUploadBodies: SwaggerTransform<FastifySchema> = ({ schema, url, route }) => {
  const takes = route.config?.accepts;
  if (!takes) return { schema, url };
  // octet-stream is accepted too, but tells a reader less.
  const named = imageMediaTypes.filter((type) => type.startsWith('image/'));
  const images = Object.fromEntries(named.map((type) => [type, undefined]));
  const bodies: AcceptedBodies =
    takes === 'images' ? { [multipartMediaType]: multipartBody, ...images } : takes;
  const content = Object.fromEntries(
    Object.entries(bodies).map(([type, body]) => [type, { schema: body ?? binary }]),
  );
  return { schema: { ...schema, body: { content } }, url };
};

/**
 * Completes the document: bodies that may be omitted are not required, and every schema with a title becomes a
 * component of that name, so that generated clients have names for it.
 * @param optionalBodies ids of the operations whose body may be omitted.
 */
export function completeDocument(optionalBodies: ReadonlySet<string>): SwaggerTransformObject {
  return (document) => {
    if (!('openapiObject' in document)) return document.swaggerObject;
    const { openapiObject } = document;
    for (const path of Object.values(openapiObject.paths ?? {})) {
      for (const operation of Object.values(path ?? {}) as { operationId?: string; requestBody?: object }[]) {
        if (!optionalBodies.has(operation.operationId ?? '') || !operation.requestBody) continue;
        operation.requestBody = { ...operation.requestBody, required: false };
      }
    }
    const schemas: Record<string, object> = {};
    const paths = named(openapiObject.paths, schemas) as typeof openapiObject.paths;
    return { ...openapiObject, paths, components: { ...openapiObject.components, schemas } } as object;
  };
}

/** Replaces schemas with a title by references to components. @throws Error if two with the same title differ. */
function named(value: unknown, schemas: Record<string, object>): unknown {
  if (Array.isArray(value)) return value.map((entry) => named(entry, schemas));
  if (typeof value !== 'object' || value === null) return value;
  const { title, ...rest } = Object.fromEntries(
    Object.entries(value).map(([key, entry]) => [key, named(entry, schemas)]),
  );
  if (typeof title !== 'string') return title === undefined ? rest : { title, ...rest };
  const schema = { title, ...rest };
  schemas[title] ??= schema;
  if (!isDeepStrictEqual(schemas[title], schema))
    throw new Error(`two schemas with the title ${title} differ`);
  return { $ref: `#/components/schemas/${title}` };
}
