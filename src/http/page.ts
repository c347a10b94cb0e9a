/** The page at `/`, built from src/web. */
import { fileURLToPath } from 'node:url';
import staticFiles from '@fastify/static';
import type { FastifyPluginAsync } from 'fastify';

const folder = fileURLToPath(new URL('../web', import.meta.url));

/** Everything comes from this service. Photos and pictures of results are blobs. */
const contentPolicy = [
  "default-src 'none'",
  "script-src 'self'",
  "style-src 'self'",
  "img-src 'self' blob:",
  "connect-src 'self'",
  "base-uri 'none'",
  "form-action 'none'",
  "frame-ancestors 'none'",
].join('; ');

export const pageRoutes: FastifyPluginAsync = async (app) => {
  await app.register(staticFiles, {
    root: folder,
    // A route for each file, so that other paths get the answer of this API.
    wildcard: false,
    decorateReply: false,
    maxAge: '365d',
    immutable: true,
    setHeaders: (reply, path) => {
      if (!path.endsWith('.html')) return;
      // The names of all other files change with their content.
      reply.header('cache-control', 'no-cache');
      reply.header('content-security-policy', contentPolicy);
    },
  });
};
