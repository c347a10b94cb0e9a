/** Responses that several routes share. */
import type { FastifyReply } from 'fastify';
import { Type } from 'typebox';
import { problemMediaType } from '../plugins/problems.js';
import { problemSchema } from './schemas/index.js';

const problem = (description: string) => ({
  description,
  content: { [problemMediaType]: { schema: problemSchema } },
});

/** Errors that any request may get. */
export const problemResponses = {
  '4xx': problem('The request is invalid; the problem says what would be right'),
  '5xx': problem('The service failed, is not ready, or is overloaded'),
};

const binary = Type.Unsafe<FastifyReply>({ type: 'string', format: 'binary' });

export const binaryContent = {
  'image/png': { schema: binary },
  'application/x-npy': { schema: binary },
};

/** Responses of routes with one picture. */
export const pngResponses = {
  200: { description: 'PNG', content: { 'image/png': binaryContent['image/png'] } },
  ...problemResponses,
};
