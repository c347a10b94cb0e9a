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
import type { Job, JobPhoto, JobRecord, JobSettings } from '../jobs/job.js';

export type { Job, JobPhoto, JobRecord, JobSettings, Result, ScoreAnswer };
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

/** Returns settings as a query; undefined ones are left out. */
function queryOf(settings: JobSettings & { readonly start?: boolean }): string {
  const entries = Object.entries(settings).flatMap(([name, value]) =>
    value === undefined ? [] : [value].flat().map((each) => [name, String(each)]),
  );
  return new URLSearchParams(entries).toString();
}

/** A file with its name, and the field of a form that it is sent in. */
export interface FormFile {
  readonly field: 'photo' | 'region';
  readonly name: string;
  readonly blob: Blob;
}

function formOf(files: readonly FormFile[]): FormData {
  const form = new FormData();
  for (const { field, name, blob } of files) form.append(field, blob, name);
  return form;
}

const jobPath = (id: string): string => `/v1/jobs/${encodeURIComponent(id)}`;
const detectorPath = (name: string): string => `/v1/detectors/${encodeURIComponent(name)}`;

export const api = {
  detectors: (): Promise<DetectorList> => json('/v1/detectors'),
  detector: (name: string): Promise<DetectorInfo> => json(detectorPath(name)),
  activate: (name: string, version: string): Promise<unknown> =>
    json(`${detectorPath(name)}/versions/${encodeURIComponent(version)}/activate`, { method: 'POST' }),
  setThreshold: (name: string, threshold: number): Promise<{ readonly version: string }> =>
    json(`${detectorPath(name)}/threshold`, {
      method: 'PUT',
      body: JSON.stringify({ threshold }),
      headers: { 'content-type': 'application/json' },
    }),
  /** Scores one photo and finds its regions. */
  localize: (detector: string, name: string, photo: Blob): Promise<ScoreAnswer> => {
    const form = new FormData();
    // The service looks at the content; a browser does not know every format.
    form.append('image', new Blob([photo], { type: 'application/octet-stream' }), name);
    return json(`${detectorPath(detector)}/localize?as=json`, { method: 'POST', body: form });
  },
  jobs: async (): Promise<readonly Job[]> => (await json<{ jobs: Job[] }>('/v1/jobs')).jobs,
  /** Creates a job; it starts at once, unless more photos are to come. */
  distill: (detector: string, settings: JobSettings & { readonly start?: boolean }): Promise<JobRecord> =>
    json(`${detectorPath(detector)}/distillations?${queryOf(settings)}`, { method: 'POST' }),
  addPhotos: (id: string, files: readonly FormFile[]): Promise<JobRecord> =>
    json(`${jobPath(id)}/photos`, { method: 'POST', body: formOf(files) }),
  startJob: (id: string): Promise<JobRecord> => json(`${jobPath(id)}/start`, { method: 'POST' }),
  deleteJob: (id: string): Promise<unknown> => send(jobPath(id), { method: 'DELETE' }),
  /** A job each time it changes, until it has ended or the service stops. */
  async *jobEvents(id: string, signal: AbortSignal): AsyncGenerator<Job> {
    const { body } = await send(`${jobPath(id)}/events`, { signal });
    const reader = body?.pipeThrough(new TextDecoderStream()).getReader();
    let text = '';
    for (;;) {
      const chunk = await reader?.read();
      if (!chunk || chunk.done) return;
      const events = (text + chunk.value).split('\n\n');
      text = events.pop() ?? '';
      for (const event of events) {
        const data = /^data: (.*)$/m.exec(event)?.[1];
        if (data) yield JSON.parse(data) as Job;
      }
    }
  },
  result: (id: string): Promise<StoredResult> => json(`/v1/results/${encodeURIComponent(id)}`),
  /** Loads a picture or map, with the key that an image of the page could not send. */
  file: async (path: string): Promise<Blob> => (await send(path)).blob(),
  /** Returns the good photo that is most like the image of a result. */
  nearest: async (id: string): Promise<{ readonly name: string; readonly picture: Blob }> => {
    const response = await send(`/v1/results/${encodeURIComponent(id)}/nearest`);
    const name = decodeURIComponent(response.headers.get('mkd-photo') ?? '');
    return { name, picture: await response.blob() };
  },
  metrics: async (): Promise<string> => (await send('/metrics')).text(),
  readiness: async (): Promise<Readiness> => {
    // A service that is not ready answers with status 503, and says why.
    const response = await fetch('/health/ready').catch(() => undefined);
    if (!response) throw new RequestError(0, 'The service does not answer.');
    return (await response.json()) as Readiness;
  },
};
