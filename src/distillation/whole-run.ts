/** How far a whole distillation is, over all its phases and cloners, and how long it will still take. */
import type { PhaseProgress } from './settings.js';

type Phase = PhaseProgress['phase'];

/** The phases of one cloner, in order. */
const phases: readonly Phase[] = ['expert', 'distill', 'scale', 'calibrate'];

/**
 * Time of one unit of each phase, in passes of the expert over one image: until a phase has run, its time is taken from
 * these. Measured on two cores with the default recipe. A step counts for each image of its batch.
 */
const usualCosts: Readonly<Record<Phase, number>> = {
  read: 0.1,
  expert: 1,
  distill: 0.7,
  scale: 2,
  calibrate: 10,
};

/** Units of each phase of one cloner. */
export type PhaseUnits = Readonly<Partial<Record<Phase, number>>>;

export interface WholeProgress {
  /** Done, 0 to 1. */
  readonly share: number;
  /** Undefined until something has been measured. */
  readonly secondsLeft: number | undefined;
}

export class WholeRun {
  /** Seconds for one unit, as measured. */
  readonly #seconds = new Map<Phase, number>();
  readonly #began: number;
  #current: { readonly key: string; readonly began: number; readonly first: number } | undefined;
  #share = 0;

  /**
   * @param cloners number of cloners that are trained one after another.
   * @param batch images in a step.
   */
  constructor(
    private readonly cloners: number,
    private readonly batch: number,
    private readonly now: () => number = () => performance.now() / 1000,
  ) {
    this.#began = now();
  }

  /**
   * @param cloner from 0.
   * @param units of the phases of each cloner.
   */
  update({ phase, done, total }: PhaseProgress, cloner: number, units: PhaseUnits): WholeProgress {
    const key = `${phase}/${cloner}`;
    const now = this.now();
    // A phase of a resumed run begins where it was.
    if (this.#current?.key !== key) this.#current = { key, began: now, first: done };
    const { began, first } = this.#current;
    if (done > first && now > began) this.#seconds.set(phase, (now - began) / (done - first));
    const later = phases.slice(phases.indexOf(phase) + 1);
    const ofOneCloner = this.#secondsOf(phases, units);
    const rest = this.#secondsOf(later, units);
    const unit = this.#secondsOfUnit(phase);
    if (ofOneCloner === undefined || rest === undefined || unit === undefined) {
      return { share: this.#share, secondsLeft: undefined };
    }
    const left = (total - done) * unit + rest + (this.cloners - 1 - cloner) * ofOneCloner;
    const spent = now - this.#began;
    // A better estimate of the rest must not take back what was done.
    this.#share = Math.max(this.#share, spent / Math.max(spent + left, 1e-9));
    return { share: this.#share, secondsLeft: left };
  }

  #secondsOf(wanted: readonly Phase[], units: PhaseUnits): number | undefined {
    let sum = 0;
    for (const phase of wanted) {
      const seconds = this.#secondsOfUnit(phase);
      if (seconds === undefined) return undefined;
      sum += seconds * (units[phase] ?? 0);
    }
    return sum;
  }

  #secondsOfUnit(phase: Phase): number | undefined {
    const measured = this.#seconds.get(phase);
    if (measured !== undefined) return measured;
    const expert = this.#seconds.get('expert');
    if (expert === undefined) return undefined;
    return expert * usualCosts[phase] * (phase === 'distill' ? this.batch : 1);
  }
}
