/** The states of a job; the page knows them too. */

/**
 * `collecting` takes photos and waits to be started, `waiting` waits for its turn or goes on after a restart of the service;
 * the last three have ended.
 */
export const jobStates = ['collecting', 'waiting', 'running', 'done', 'failed', 'canceled'] as const;

export type JobState = (typeof jobStates)[number];

export function hasEnded({ state }: { readonly state: JobState }): boolean {
  return state === 'done' || state === 'failed' || state === 'canceled';
}
