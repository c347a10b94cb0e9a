/** What the log says of requests: one line for each, once it is answered. */
import type { FastifyInstance } from 'fastify';

/** Parameters that people put keys into, though the service takes keys in headers only. */
const secretName = /key|token|secret|password|auth/i;

/** A key as `mkd keys` makes them, wherever it stands in a URL. */
const key = /mkd_[\w-]{16,}/g;

/** Returns a URL with keys, and the values of parameters that may be secrets, left out. */
export function redacted(url: string): string {
  const [start = '', query] = url.split('?', 2);
  const path = start.replace(key, '[redacted]');
  if (query === undefined) return path;
  const parameters = query.split('&').map((parameter) => {
    const [name = '', value = ''] = parameter.split('=', 2);
    return secretName.test(name) || value.startsWith('mkd_') ? `${name}=[redacted]` : parameter;
  });
  return `${path}?${parameters.join('&')}`;
}

/** Logs each request when it has been answered. Needs Fastify's own lines turned off. */
export function logRequests(app: FastifyInstance): void {
  app.addHook('onResponse', async ({ log, method, url, ip }, { statusCode, elapsedTime }) => {
    const shown = redacted(url);
    const ms = Math.round(elapsedTime);
    log.info(
      { method, url: shown, status: statusCode, ms, remoteAddress: ip },
      `${method} ${shown} ${statusCode} in ${ms} ms`,
    );
  });
}
