/** Requests to the service. The types are those of its schemas, from which openapi.yaml is written too. */
import { signal } from '@preact/signals';
import type { Static } from 'typebox';
import type {
  detectorInfoSchema,
  detectorListSchema,
  detectorSummarySchema,
  readySchema,
} from '../http/v1/schemas/detectors.js';
import type { Result, ScoreAnswer, storedResultSchema } from '../http/v1/schemas/results.js';

export type { Result, ScoreAnswer };
export type DetectorList = Static<typeof detectorListSchema>;
export type DetectorSummary = Static<typeof detectorSummarySchema>;
export type DetectorInfo = Static<typeof detectorInfoSchema>;
export type Readiness = Static<typeof readySchema>;
export type StoredResult = Static<typeof storedResultSchema>;

/** A request that was not answered as hoped. The message says what to do. */
export class RequestError extends Error {
  override readonly name = 'RequestError';

  /** @param status of HTTP; 0 if there was no answer. */
  constructor(
    readonly status: number,
    message: string,
    /** When to try again. */
    readonly retryAfterMs?: number,
  ) {
    super(message);
  }
}

const storedKey = 'mkd-api-key';
/** The API key, kept until the tab is closed. */
export const apiKey = signal(sessionStorage.getItem(storedKey) ?? '');
/** Why a key is asked for; undefined if none is. */
export const keyWanted = signal<string | undefined>(undefined);

export function useKey(key: string): void {
  sessionStorage.setItem(storedKey, key);
  apiKey.value = key;
  keyWanted.value = undefined;
}

/** @throws RequestError */
async function send(path: string, init: RequestInit = {}): Promise<Response> {
  const headers = new Headers(init.headers);
  if (apiKey.value) headers.set('x-api-key', apiKey.value);
  const response = await fetch(path, { ...init, headers }).catch(() => {
    throw new RequestError(0, 'The service does not answer. Is it running, and the network up?');
  });
  if (response.ok) return response;
  const problem = (await response.json().catch(() => ({}))) as { detail?: string };
  const detail = problem.detail ?? `The service answered with status ${response.status}.`;
  if (response.status === 401) keyWanted.value = detail;
  const seconds = Number(response.headers.get('retry-after'));
  throw new RequestError(response.status, detail, seconds > 0 ? 1000 * seconds : undefined);
}

async function json<Answer>(path: string, init?: RequestInit): Promise<Answer> {
  return (await (await send(path, init)).json()) as Answer;
}

const detectorPath = (name: string): string => `/v1/detectors/${encodeURIComponent(name)}`;

export const api = {
  detectors: (): Promise<DetectorList> => json('/v1/detectors'),
  detector: (name: string): Promise<DetectorInfo> => json(detectorPath(name)),
  activate: (name: string, version: string): Promise<unknown> =>
    json(`${detectorPath(name)}/versions/${encodeURIComponent(version)}/activate`, { method: 'POST' }),
  setThreshold: (name: string, threshold: number): Promise<unknown> =>
    json(`${detectorPath(name)}/threshold`, {
      method: 'PUT',
      body: JSON.stringify({ threshold }),
      headers: { 'content-type': 'application/json' },
    }),
  /** Scores one photo and finds its regions. */
  localize: (detector: string, photo: Blob): Promise<ScoreAnswer> =>
    json(`${detectorPath(detector)}/localize?as=json`, {
      method: 'POST',
      body: photo,
      // The service looks at the content; a browser does not know every format.
      headers: { 'content-type': 'application/octet-stream' },
    }),
  result: (id: string): Promise<StoredResult> => json(`/v1/results/${encodeURIComponent(id)}`),
  /** Returns the address of a picture that is loaded, with the key that an image of the page could not send. */
  picture: async (path: string): Promise<string> => URL.createObjectURL(await (await send(path)).blob()),
  metrics: async (): Promise<string> => (await send('/metrics')).text(),
  readiness: async (): Promise<Readiness> => {
    // A service that is not ready answers with status 503, and says why.
    const response = await fetch('/health/ready').catch(() => undefined);
    if (!response) throw new RequestError(0, 'The service does not answer.');
    return (await response.json()) as Readiness;
  },
};
