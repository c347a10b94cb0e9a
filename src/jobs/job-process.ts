/** The process of a job: makes one detector, as `mkd distill` and `mkd add` do, and tells how far it is. */
import { changePhotos, distill } from '../distillation/index.js';
import { significant } from '../files/decimals.js';
import { describeError, isSystemError } from '../files/explain.js';
import type { FromProcess, JobTask } from './process-messages.js';

const tell = (message: FromProcess): void => void process.send?.(message);
const stop = new AbortController();

process.on('SIGTERM', () => stop.abort());
// Ctrl-C goes to all processes of a terminal. The service decides what becomes of its job.
process.on('SIGINT', () => {});
// Without the service nobody wants the detector.
process.on('disconnect', () => process.exit(1));
process.once('message', (task: JobTask) => {
  void run(task).then(
    () => end({ kind: 'done' }),
    (error: unknown) => end({ kind: 'failed', message: describeError(error), mayPass: isSystemError(error) }),
  );
});

/** Ends the process once its last message has been sent. */
function end(message: FromProcess): void {
  process.send?.(message, () => process.exit(0));
}

async function run(task: JobTask): Promise<void> {
  const { photos, out, addTo, remove, region, experts, provider, ...settings } = task;
  const common = {
    ...settings,
    device: { provider },
    signal: stop.signal,
    onProgress: ({ phase, done, total, share, secondsLeft }) => {
      const left = secondsLeft === undefined ? {} : { secondsLeft: Math.round(secondsLeft) };
      const progress = { phase, done, total, share: significant(Math.min(share, 1), 3), ...left };
      tell({ kind: 'progress', progress });
    },
    onWarning: (message, topic) => {
      if (topic !== 'doubtful') tell({ kind: 'warning', message });
    },
    onDoubtful: (doubtful) => tell({ kind: 'doubtful', photos: doubtful }),
  } satisfies Partial<Parameters<typeof distill>[0]>;
  if (addTo === undefined) {
    await distill({ ...common, dataset: photos ?? '', out, regionOfInterest: region });
  } else {
    await changePhotos({ ...common, detector: addTo, dataset: photos, remove, out, experts });
  }
}
