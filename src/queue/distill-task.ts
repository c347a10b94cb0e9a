/** Makes the detector of a task. */
import { randomUUID } from 'node:crypto';
import { mkdir, readdir, rm } from 'node:fs/promises';
import { join } from 'node:path';
import { UnrecoverableError } from 'bullmq';
import { describeError } from '../files/explain.js';
import { type FromProcess, JobFailed, startProcess } from '../jobs/index.js';
import { type DetectorRepository, RepositoryError } from '../repository/index.js';
import type { Provider } from '../runtime/index.js';
import type { DistillOutcome, DistillTask } from './tasks.js';

interface Place {
  readonly repository: DetectorRepository;
  /** Folder of the detectors that serve: a new one is made beside them. */
  readonly detectors: string;
  /** Name of the task. */
  readonly id: string;
  readonly experts: readonly string[];
  readonly provider: Provider;
}

/**
 * Makes a detector in a process of its own, and lets it serve.
 * @param onMessage called with what the process tells.
 * @throws UnrecoverableError if the same photos would fail tomorrow.
 */
export async function runDistillTask(
  task: DistillTask,
  { repository, detectors, id, experts, provider }: Place,
  onMessage: (message: FromProcess) => void,
): Promise<DistillOutcome> {
  const { detector, dataset, groupBy, fit, dropDoubtful = false, falseAlarmRate } = task;
  const settings = { groupBy, fit, dropDoubtful, falseAlarmRate, experts, provider };
  const nothing = { addTo: undefined, remove: [], region: undefined };
  const making = `.making-${id}-`;
  // Of a worker that ended, or that others think has ended: its detector is not wanted any more.
  for (const name of await readdir(detectors)) {
    if (name.startsWith(making)) await rm(join(detectors, name), { recursive: true, force: true });
  }
  const folder = join(detectors, making + randomUUID());
  const out = join(folder, 'detector');
  try {
    await mkdir(folder);
    repository.checkWritable();
    await startProcess({ photos: dataset, out, ...nothing, ...settings }, onMessage).ended;
    const { version } = await repository.addMade(detector, out);
    return { detector, version };
  } catch (error) {
    throw mayPass(error) ? error : new UnrecoverableError(describeError(error));
  } finally {
    await rm(folder, { recursive: true, force: true });
  }
}

/** Whether the detector may be made tomorrow, from the same photos. */
function mayPass(error: unknown): boolean {
  if (error instanceof JobFailed) return error.mayPass;
  return !(error instanceof RepositoryError) || error.kind === 'disk-full';
}
