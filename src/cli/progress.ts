/** Progress on stderr: a bar on a terminal, otherwise a line every few seconds. */
import cliProgress, { SingleBar } from 'cli-progress';
import type { Output } from './output.js';

/** Shown next to the bar. */
interface ProgressDetails {
  /** What is counted; default `images`. */
  readonly unit?: string;
  readonly note?: string;
}

export interface Progress {
  update(label: string, done: number, total: number, beside?: ProgressDetails): void;
  stop(): void;
}

/** Seconds between two lines without a terminal. */
const linesEverySeconds = 10;

export function startProgress({ stderr }: Output): Progress {
  let label: string | undefined;
  let bar: SingleBar | undefined;
  return {
    update(next, done, total, { unit = 'images', note = '' } = {}) {
      if (next !== label) {
        bar?.stop();
        label = next;
        bar = new SingleBar({
          format: '{label} {bar} {value}/{total} {unit} | {eta_formatted} left | {note}',
          stream: stderr,
          hideCursor: true,
          etaBuffer: 50,
          noTTYOutput: !stderr.isTTY,
          notTTYSchedule: linesEverySeconds * 1000,
          // Before the first update, the remaining time is not a number.
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
