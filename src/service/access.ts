/** Who may ask what: API keys by scope, a rate for each key, and headers that keep browsers from mischief. */
import helmet from '@fastify/helmet';
import rateLimit from '@fastify/rate-limit';
import type { FastifyInstance, FastifyRequest } from 'fastify';
import type { ApiKey, KeyRing, Scope } from './keys.js';
import { ProblemError } from './problems.js';

declare module 'fastify' {
  interface FastifyRequest {
    /** The key the request came with, where keys are asked for. */
    apiKey: ApiKey | undefined;
  }

  interface FastifyContextConfig {
    /** What a key must allow for this route, where its path does not say so. */
    scope?: Scope | 'none';
  }
}

/** Health and documents are open; all else asks for a key. */
function scopeOf({ url, config }: FastifyRequest['routeOptions']): Scope | undefined {
  if (config.scope) return config.scope === 'none' ? undefined : config.scope;
  if (/^\/v[12](\/|$)/.test(url ?? '')) return 'score';
  return url === '/metrics' ? 'metrics' : undefined;
}

/**
 * @param keys without them everybody may score and read, and nobody may change detectors.
 * @param forOtherOrigins whether pages of other origins may show pictures.
 */
export async function addAccessControl(
  app: FastifyInstance,
  keys: KeyRing | undefined,
  forOtherOrigins: boolean,
): Promise<void> {
  await app.register(helmet, {
    // The documents bring their own content policy, and plain HTTP beside a line is no fault.
    contentSecurityPolicy: false,
    hsts: false,
    crossOriginResourcePolicy: { policy: forOtherOrigins ? 'cross-origin' : 'same-origin' },
  });
  app.decorateRequest('apiKey', undefined);
  if (!keys) {
    app.addHook('onRequest', async (request) => {
      if (scopeOf(request.routeOptions) !== 'admin') return;
      throw new ProblemError(
        'wrong-scope',
        'this needs an admin key, and the service knows no keys: make some with mkd keys add, start it with --keys',
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
    // The line that says how a request ended comes from its answer.
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
        `the key ${apiKey?.name} may send ${max} requests a minute; try again in ${seconds} s`,
        seconds,
      );
    },
  });
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
  if (!key) throw new ProblemError('no-key', 'the API key is not known here; it may have been replaced');
  if (key.scopes.includes(scope) || key.scopes.includes('admin')) return key;
  throw new ProblemError(
    'wrong-scope',
    `the key ${key.name} has scope ${key.scopes.join(', ')}; this needs ${scope}`,
  );
}
