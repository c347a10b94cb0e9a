/** Progress on stderr: a bar on a terminal, otherwise a line every few seconds. */
import cliProgress, { SingleBar } from 'cli-progress';
import type { PhaseProgress } from '../distillation/settings.js';
import type { Output } from './output.js';

/** The progress of work with several phases. */
interface WholeProgress {
  /** Done, 0 to 1. */
  readonly share: number;
  /** Undefined if not known yet. */
  readonly secondsLeft?: number | undefined;
  /** What is being done now. */
  readonly note: string;
}

export interface Progress {
  /** Draws one bar for all phases. */
  updateWhole(label: string, whole: WholeProgress): void;
  update(label: string, done: number, total: number): void;
  stop(): void;
}

/** Seconds between two lines without a terminal. */
const linesEverySeconds = 10;

export function startProgress({ stderr }: Output): Progress {
  let label: string | undefined;
  let bar: SingleBar | undefined;
  let ended = false;
  let last = Number.NEGATIVE_INFINITY;
  /** Without a terminal: the first line of a label, one every few seconds, and one when all is done. */
  const line = (next: string, text: string, done: boolean): void => {
    const now = performance.now();
    const isDue = next !== label || now - last >= 1000 * linesEverySeconds || done;
    if (!isDue || (next === label && ended)) return;
    [label, last, ended] = [next, now, done];
    stderr.write(`${next} ${text}\n`);
  };
  const show = (next: string, format: string, done: number, total: number, values: object): void => {
    if (next !== label) {
      bar?.stop();
      label = next;
      bar = new SingleBar({
        format,
        stream: stderr,
        hideCursor: true,
        etaBuffer: 50,
        // Before the first update, the remaining time is not a number.
        formatTime: (seconds, options, multiple) =>
          Number.isFinite(seconds) ? cliProgress.Format.TimeFormat(seconds, options, multiple) : '?',
      });
      bar.start(total, done, { label, ...values });
    }
    bar?.update(done, values);
  };
  return {
    update(next, done, total) {
      if (!stderr.isTTY) return line(next, `${done} of ${total} images`, done >= total);
      show(next, '{label} {bar} {value}/{total} images | {eta_formatted} left', done, total, {});
    },
    updateWhole(next, { share, secondsLeft, note }) {
      const left = secondsLeft === undefined ? 'measuring the time' : `${duration(secondsLeft)} left`;
      if (!stderr.isTTY) return line(next, `${Math.floor(100 * share)} % | ${left} | ${note}`, share >= 1);
      show(next, '{label} {bar} {percentage} % | {left} | {note}', share, 1, { left, note });
    },
    stop() {
      bar?.stop();
      bar = undefined;
      label = undefined;
    },
  };
}

/** Formats seconds as people say them: `45 s`, `12 min`, `1 h 20 min`. */
export function duration(seconds: number): string {
  if (seconds < 90) return `${Math.round(seconds)} s`;
  const minutes = Math.round(seconds / 60);
  const [hours, rest] = [Math.floor(minutes / 60), minutes % 60];
  if (hours === 0) return `${minutes} min`;
  return rest === 0 ? `${hours} h` : `${hours} h ${rest} min`;
}

const doing: Readonly<Record<PhaseProgress['phase'], string>> = {
  read: 'reading the images',
  expert: 'running the expert on the photos',
  distill: 'training the cloner',
  scale: 'scaling the terms',
  calibrate: 'setting the threshold',
};

/** Tells what a distillation does now, and how far that is. */
export function distillNote(
  { phase, fold, done, total, epoch, loss, heldBackLoss }: PhaseProgress,
  folds?: number,
): string {
  const of = fold === undefined ? '' : `fold ${fold} of ${folds}: `;
  const unit = phase === 'distill' ? 'steps' : 'images';
  const losses = loss === undefined ? '' : `, epoch ${epoch}, loss ${loss.toFixed(4)}`;
  const held = heldBackLoss === undefined ? '' : `, held-back loss ${heldBackLoss.toFixed(4)}`;
  return `${of}${doing[phase]}, ${done} of ${total} ${unit}${losses}${held}`;
}
