/** Access control: API keys by scope, a rate limit for each key, and security headers for browsers. */
import helmet from '@fastify/helmet';
import rateLimit from '@fastify/rate-limit';
import type { FastifyInstance, FastifyRequest } from 'fastify';
import type { ApiKey, KeyRing, Scope } from './keys.js';
import { ProblemError } from './problems.js';

declare module 'fastify' {
  interface FastifyRequest {
    /** The key of the request, if keys are required. */
    apiKey: ApiKey | undefined;
  }

  interface FastifyContextConfig {
    /** The scope this route needs, if its path does not determine it. */
    scope?: Scope | 'none';
  }
}

/** Health and documentation are open; everything else needs a key. */
function scopeOf({ url, config }: FastifyRequest['routeOptions']): Scope | undefined {
  if (config.scope) return config.scope === 'none' ? undefined : config.scope;
  if (/^\/v[12](\/|$)/.test(url ?? '')) return 'score';
  return url === '/metrics' ? 'metrics' : undefined;
}

export interface Access {
  /** Without them everyone may score and read. */
  readonly keys?: KeyRing | undefined;
  /** Whether requests from this machine may change detectors, if there are no keys. */
  readonly localAdmin?: boolean | undefined;
  /** Whether pages of other origins may show pictures. */
  readonly forOtherOrigins: boolean;
}

export async function addAccessControl(
  app: FastifyInstance,
  { keys, localAdmin, forOtherOrigins }: Access,
): Promise<void> {
  await app.register(helmet, {
    // The documentation has its own content policy, and plain HTTP is normal next to a production line.
    contentSecurityPolicy: false,
    hsts: false,
    crossOriginResourcePolicy: { policy: forOtherOrigins ? 'cross-origin' : 'same-origin' },
  });
  app.decorateRequest('apiKey', undefined);
  if (!keys) {
    app.addHook('onRequest', async (request) => {
      if (scopeOf(request.routeOptions) !== 'admin' || (localAdmin && isLocal(request))) return;
      const locally = localAdmin
        ? 'open the page on the machine of the service, or'
        : 'start it with --local-admin and open the page on its machine, or';
      throw new ProblemError(
        'wrong-scope',
        `this needs an admin key, and the service has no keys: ${locally} create keys with mkd keys add and start it with --keys`,
      );
    });
    return;
  }
  app.addHook('onRequest', async (request, reply) => {
    const scope = scopeOf(request.routeOptions);
    if (scope === undefined) return;
    try {
      request.apiKey = authorized(keys, scope, presentedKey(request));
    } catch (error) {
      reply.header('www-authenticate', 'Bearer');
      throw error;
    }
    // The log line of a request is written by its reply.
    request.log = reply.log = request.log.child({ key: request.apiKey.name });
  });
  await app.register(rateLimit, {
    timeWindow: 60_000,
    max: ({ apiKey }) => apiKey?.ratePerMinute ?? Number.MAX_SAFE_INTEGER,
    keyGenerator: ({ apiKey, ip }) => apiKey?.name ?? ip,
    allowList: ({ apiKey }) => apiKey?.ratePerMinute === undefined,
    errorResponseBuilder: ({ apiKey }, { max, ttl }) => {
      const seconds = Math.ceil(ttl / 1000);
      return new ProblemError(
        'too-many-requests',
        `the key ${apiKey?.name} may send ${max} requests per minute; try again in ${seconds} s`,
        seconds,
      );
    },
  });
}

const loopback = /^(127(\.\d+){3}|::1|::ffff:127(\.\d+){3}|localhost|\[::1\])$/;

/**
 * Returns whether a request comes from this machine itself: not through a proxy on it, and not from a page of another origin
 * that the browser on this machine has open.
 */
function isLocal({ ip, headers, hostname }: FastifyRequest): boolean {
  if (!loopback.test(ip) || !loopback.test(hostname)) return false;
  if (headers.forwarded ?? headers['x-forwarded-for'] ?? headers.via) return false;
  const { origin, host } = headers;
  return origin === undefined || (URL.canParse(origin) && new URL(origin).host === host);
}

/** From `Authorization: Bearer <key>`, or `X-API-Key: <key>`. */
function presentedKey({ headers }: FastifyRequest): string | undefined {
  const [, bearer] = /^Bearer +(\S+)$/i.exec(headers.authorization ?? '') ?? [];
  const other = headers['x-api-key'];
  return bearer ?? (typeof other === 'string' ? other : undefined);
}

function authorized(keys: KeyRing, scope: Scope, presented: string | undefined): ApiKey {
  if (presented === undefined) {
    throw new ProblemError('no-key', 'send an API key: Authorization: Bearer <key>, or X-API-Key: <key>');
  }
  const key = keys.find(presented);
  if (!key) throw new ProblemError('no-key', 'the API key is unknown; it may have been replaced');
  if (key.scopes.includes(scope) || key.scopes.includes('admin')) return key;
  throw new ProblemError(
    'wrong-scope',
    `the key ${key.name} has scope ${key.scopes.join(', ')}; this needs ${scope}`,
  );
}
