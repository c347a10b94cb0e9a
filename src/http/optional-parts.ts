/** Parts of a service that are loaded only if they are wanted: their libraries take longer to load than they are used. */
import type { FastifyBaseLogger } from 'fastify';
import type { Traces } from '../observability/index.js';
import { packageVersion } from './plugins/openapi.js';
import { defaultResultStoreLimits, type ResultStoreLimits } from './result-store.js';
import type { SharedResults, SharedResultsOptions } from './shared-results.js';

/** @param endpoint of a collector; without it there are no traces. */
export async function openTraces(
  endpoint: string | undefined,
  report: (reason: string) => void,
): Promise<Traces | undefined> {
  if (endpoint === undefined) return undefined;
  const { Traces } = await import('../observability/traces.js');
  return new Traces(endpoint, packageVersion, report);
}

/** @param url of Redis; without it each replica has its own results. */
export async function openSharedResults(
  url: string | undefined,
  { maxAgeMs }: ResultStoreLimits = defaultResultStoreLimits,
  listeners: Pick<SharedResultsOptions, 'onChange' | 'onError'>,
): Promise<SharedResults | undefined> {
  if (url === undefined) return undefined;
  const { SharedResults } = await import('./shared-results.js');
  return new SharedResults({ url, maxAgeMs, ...listeners });
}

/** Tells when the store of results is lost or found again. */
export function logReachable(
  log: FastifyBaseLogger,
  { reachable, reason }: Parameters<NonNullable<SharedResultsOptions['onChange']>>[0],
): void {
  if (reachable) log.info('the store of results is reachable');
  else log.warn({ reason }, 'the store of results cannot be reached; each replica knows its own results');
}
