/** The detectors that are made now, and those that were made lately. */
import { signal } from '@preact/signals';
import { useEffect } from 'preact/hooks';
import { hasEnded } from '../jobs/states.js';
import { api, type Job } from './api.js';

const jobs = signal<readonly Job[]>([]);
const trouble = signal<string | undefined>(undefined);
const pollMs = 2000;

async function load(): Promise<void> {
  try {
    jobs.value = await api.jobs();
    trouble.value = undefined;
  } catch (error) {
    trouble.value = (error as Error).message;
  }
}

async function remove(id: string): Promise<void> {
  await api.deleteJob(id).catch((error: Error) => {
    trouble.value = error.message;
  });
  await load();
}

const states: Readonly<Record<Job['state'], string>> = {
  collecting: 'takes photos',
  waiting: 'waits for its turn',
  running: 'is made',
  done: 'made',
  failed: 'failed',
  canceled: 'canceled',
};

export function Jobs() {
  useEffect(() => {
    void load();
    const timer = setInterval(() => void load(), pollMs);
    return () => clearInterval(timer);
  }, []);
  return (
    <section class="panel scroll" aria-label="Jobs">
      <h2>Detectors that are made here</h2>
      {trouble.value !== undefined && (
        <p class="note bad" role="alert">
          {trouble.value}
        </p>
      )}
      {jobs.value.length === 0 ? (
        <p class="soft">
          None yet. <a href="#/make">Make one</a> from photos of good parts.
        </p>
      ) : (
        <table>
          <thead>
            <tr>
              <th scope="col">Detector</th>
              <th scope="col">State</th>
              <th scope="col" class="n">
                Photos
              </th>
              <th scope="col">Began</th>
              <th scope="col">
                <span class="hidden">Action</span>
              </th>
            </tr>
          </thead>
          <tbody>
            {jobs.value.map((job) => (
              <Row key={job.id} job={job} />
            ))}
          </tbody>
        </table>
      )}
    </section>
  );
}

function Row({ job }: { readonly job: Job }) {
  const { id, detector, state, progress, photos, created, error, outcome } = job;
  const share = state === 'running' && progress ? `, ${Math.round(100 * progress.share)} %` : '';
  return (
    <tr>
      <td>{detector}</td>
      <td>
        {states[state]}
        {share}
        {error !== undefined && <p class="note bad">{error}</p>}
      </td>
      <td class="n">{outcome?.images ?? photos.used}</td>
      <td>{new Date(created).toLocaleString()}</td>
      <td class="n">
        <button
          type="button"
          class="link"
          onClick={() => void remove(id)}
          aria-label={`${hasEnded(job) ? 'Remove' : 'Cancel'} ${detector}`}
        >
          {hasEnded(job) ? 'Remove' : 'Cancel'}
        </button>
      </td>
    </tr>
  );
}
