/** What each detector did in the last day, hour by hour: for people who look at a list of detectors. */
import type { ScoringObserver, StageEnded } from '../scoring/index.js';

const hourMs = 3_600_000;
const hours = 24;

export interface LastDay {
  /** Images scored. */
  readonly images: number;
  readonly anomalous: number;
  /** Mean score in each hour, the oldest first, the current one last; null without images. */
  readonly meanScores: readonly (number | null)[];
}

interface Hour {
  /** Since 1970. */
  readonly hour: number;
  images: number;
  anomalous: number;
  scores: number;
}

export class LastDayMonitor implements ScoringObserver {
  /** By name of the detector; the current hour is the last one. */
  readonly #hours = new Map<string, Hour[]>();

  constructor(private readonly now: () => number = Date.now) {}

  ended(stage: StageEnded): void {
    if (stage.stage !== 'image' || 'error' in stage.outcome) return;
    const { score, verdict } = stage.outcome.scored;
    this.record(stage.image.name, score, verdict === 'anomalous');
  }

  record(name: string, score: number, isAnomalous: boolean): void {
    const known = this.#hours.get(name) ?? [];
    this.#hours.set(name, known);
    const now = this.#hour();
    let last = known.at(-1);
    if (last?.hour !== now) {
      last = { hour: now, images: 0, anomalous: 0, scores: 0 };
      known.push(last);
      while ((known[0] as Hour).hour <= now - hours) known.shift();
    }
    last.images++;
    last.scores += score;
    if (isAnomalous) last.anomalous++;
  }

  /** Removes a detector that no longer exists. */
  forget(name: string): void {
    this.#hours.delete(name);
  }

  of(name: string): LastDay {
    const now = this.#hour();
    const recent = (this.#hours.get(name) ?? []).filter(({ hour }) => hour > now - hours);
    const byHour = new Map(recent.map((each) => [each.hour, each]));
    return {
      images: recent.reduce((sum, { images }) => sum + images, 0),
      anomalous: recent.reduce((sum, { anomalous }) => sum + anomalous, 0),
      meanScores: Array.from({ length: hours }, (_, index) => {
        const hour = byHour.get(now - hours + 1 + index);
        return hour ? hour.scores / hour.images : null;
      }),
    };
  }

  #hour(): number {
    return Math.floor(this.now() / hourMs);
  }
}
