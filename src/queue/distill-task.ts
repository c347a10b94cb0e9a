/** Makes the detector of a task. */
import { rm } from 'node:fs/promises';
import { UnrecoverableError } from 'bullmq';
import { describeError } from '../files/explain.js';
import { type FromProcess, JobFailed, startProcess } from '../jobs/index.js';
import { type DetectorRepository, RepositoryError } from '../repository/index.js';
import type { Provider } from '../runtime/index.js';
import type { DistillOutcome, DistillTask } from './tasks.js';

interface Place {
  readonly repository: DetectorRepository;
  /** Folder of the detector until it is whole, beside those that serve. */
  readonly making: string;
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
  { repository, making, experts, provider }: Place,
  onMessage: (message: FromProcess) => void,
): Promise<DistillOutcome> {
  const { detector, dataset, groupBy, fit, dropDoubtful = false, falseAlarmRate } = task;
  const settings = { groupBy, fit, dropDoubtful, falseAlarmRate, experts, provider };
  const nothing = { addTo: undefined, remove: [], region: undefined };
  await rm(making, { recursive: true, force: true });
  try {
    repository.checkWritable();
    await startProcess({ photos: dataset, out: making, ...nothing, ...settings }, onMessage).ended;
    const { version } = await repository.addMade(detector, making);
    return { detector, version };
  } catch (error) {
    throw mayPass(error) ? error : new UnrecoverableError(describeError(error));
  } finally {
    await rm(making, { recursive: true, force: true });
  }
}

/** Whether the detector may be made tomorrow, from the same photos. */
function mayPass(error: unknown): boolean {
  if (error instanceof JobFailed) return error.mayPass;
  return !(error instanceof RepositoryError) || error.kind === 'disk-full';
}
