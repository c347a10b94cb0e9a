/** Progress on stderr: a bar on a terminal, a line now and then elsewhere. */
import cliProgress, { SingleBar } from 'cli-progress';

/** What is shown beside the bar. */
interface Beside {
  /** What is counted; default `images`. */
  readonly unit?: string;
  readonly note?: string;
}

export interface Progress {
  update(label: string, done: number, total: number, beside?: Beside): void;
  stop(): void;
}

/** Seconds between two lines where there is no terminal. */
const linesEverySeconds = 10;

export function startProgress(): Progress {
  let label: string | undefined;
  let bar: SingleBar | undefined;
  return {
    update(next, done, total, { unit = 'images', note = '' } = {}) {
      if (next !== label) {
        bar?.stop();
        label = next;
        bar = new SingleBar({
          format: '{label} {bar} {value}/{total} {unit} | {eta_formatted} left | {note}',
          stream: process.stderr,
          hideCursor: true,
          etaBuffer: 50,
          noTTYOutput: !process.stderr.isTTY,
          notTTYSchedule: linesEverySeconds * 1000,
          // Before the first is done, the time that is left is no number.
          formatTime: (seconds, options, multiple) =>
            Number.isFinite(seconds) ? cliProgress.Format.TimeFormat(seconds, options, multiple) : '?',
        });
        bar.start(total, 0, { label, unit, note });
      }
      bar?.update(done, { note });
    },
    stop() {
      bar?.stop();
      bar = undefined;
      label = undefined;
    },
  };
}
