/** What the log says of a request. */
import type { FastifyRequest, FastifyServerOptions } from 'fastify';

/** Parameters that people put keys into, though the service takes keys in headers only. */
const secretName = /key|token|secret|password|auth/i;

/** Returns a URL with the values of parameters that may be secrets left out. */
export function redacted(url: string): string {
  const [path = '', query] = url.split('?', 2);
  if (query === undefined) return url;
  const parameters = query.split('&').map((parameter) => {
    const [name = '', value = ''] = parameter.split('=', 2);
    return secretName.test(name) || value.startsWith('mkd_') ? `${name}=[redacted]` : parameter;
  });
  return `${path}?${parameters.join('&')}`;
}

/** Adds to a logger that URLs are logged without secrets. */
export function withoutSecrets(
  logger: FastifyServerOptions['logger'] = false,
): NonNullable<FastifyServerOptions['logger']> {
  if (logger === false) return false;
  const options = logger === true ? {} : logger;
  const req = ({ method, url, host, ip, socket }: FastifyRequest) => ({
    method,
    url: redacted(url),
    host,
    remoteAddress: ip,
    ...(socket.remotePort === undefined ? {} : { remotePort: socket.remotePort }),
  });
  return { ...options, serializers: { ...options.serializers, req } };
}
