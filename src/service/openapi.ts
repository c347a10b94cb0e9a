/** What openapi.yaml says beyond the schemas of the routes. */
import { readFileSync } from 'node:fs';
import type { FastifyDynamicSwaggerOptions, SwaggerTransform } from '@fastify/swagger';
import type { FastifySchema } from 'fastify';
import { imageMediaTypes, multipartMediaType } from './media-types.js';

/** Of package.json. */
export const packageVersion: string = (
  JSON.parse(readFileSync(new URL('../../../package.json', import.meta.url), 'utf8')) as { version: string }
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
      bearer: { type: 'http', scheme: 'bearer', description: 'API key, where the service asks for one' },
      apiKey: { type: 'apiKey', in: 'header', name: 'X-API-Key', description: 'The same in another header' },
    },
  },
  security: [{}, { bearer: [] }, { apiKey: [] }],
  tags: [
    { name: 'scoring', description: 'Scores and maps of images' },
    { name: 'detectors', description: 'What can be scored with' },
    { name: 'inference protocol v2', description: 'What Triton and KServe clients speak' },
    { name: 'operations', description: 'Health, metrics, documents' },
  ],
};

const binary = { type: 'string', format: 'binary' } as const;

const multipartBody = {
  type: 'object',
  properties: {
    image: { type: 'array', items: binary, minItems: 1, description: 'One or more image files' },
  },
  required: ['image'],
} as const;

declare module 'fastify' {
  interface FastifyContextConfig {
    /** Content types of the body, where it is bytes: `images`, or those listed. */
    takes?: 'images' | readonly string[];
  }
}

/** The body of routes that take images or archives: documented here, checked by what the bytes turn out to be. */
export const withUploadBodies: SwaggerTransform<FastifySchema> = ({ schema, url, route }) => {
  const takes = route.config?.takes;
  if (!takes) return { schema, url };
  const types = takes === 'images' ? imageMediaTypes : takes;
  const content = Object.fromEntries([
    ...(takes === 'images' ? [[multipartMediaType, { schema: multipartBody }]] : []),
    ...types.map((type) => [type, { schema: binary }]),
  ]);
  return { schema: { ...schema, body: { content } }, url };
};
