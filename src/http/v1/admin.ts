/** What the routes that change detectors have in common. */
import type { FastifyInstance } from 'fastify';
import { archiveMediaTypes } from '../plugins/media-types.js';

/** Lets only admin keys use the routes that follow, and hands them archives as streams: these need not fit into memory. */
export function addAdminRules(admin: FastifyInstance): void {
  admin.addContentTypeParser([...archiveMediaTypes], (_request, payload, done) => done(null, payload));
  admin.addHook('onRoute', (route) => {
    route.config = { ...route.config, scope: 'admin' };
  });
}
