/** What the report holds: cells of rows, each measured in turns, and the page made of them. */
import { cpus, totalmem } from 'node:os';
import { cores } from '../../src/files/cores.js';
import { median } from '../service.js';

export interface Cell {
  readonly name: string;
  readonly unit: string;
  /** By side, a number of each turn; or why there is none. */
  readonly sides: Readonly<Record<string, readonly number[] | string>>;
}

/** What is measured; throws if it cannot be. */
export type Side = () => Promise<number>;

export class Cells {
  readonly all: Cell[] = [];
  readonly #turns: number;

  constructor(turns: number) {
    this.#turns = turns;
  }

  add(cell: Cell): void {
    this.all.push(cell);
  }

  /**
   * Measures all sides in turns, so that changes in the speed of the machine affect all of them. A side that fails once
   * is left out, and the report says why; our own side may not fail.
   */
  async measure(name: string, unit: string, sides: Readonly<Record<string, Side>>): Promise<void> {
    const found = new Map(Object.keys(sides).map((key) => [key, [] as number[]]));
    const failed = new Map<string, string>();
    for (let turn = 0; turn < this.#turns; turn++) {
      for (const [key, run] of Object.entries(sides)) {
        if (failed.has(key)) continue;
        try {
          found.get(key)?.push(await run());
        } catch (error) {
          if (found.keys().next().value === key) throw error;
          failed.set(key, (error as Error).message);
        }
      }
      process.stderr.write(`\r${name}: turn ${turn + 1} of ${this.#turns}   `);
    }
    process.stderr.write('\n');
    this.add({ name, unit, sides: { ...Object.fromEntries(found), ...Object.fromEntries(failed) } });
  }

  /** Returns the rows of a table: each side's median, and the median over turns of the first side's ratio to it. */
  rows(): string[] {
    return this.all.flatMap(({ name, unit, sides }) => {
      const [first = []] = Object.values(sides);
      return Object.entries(sides).map(([key, found], at) => {
        const title = at === 0 ? `${name}, ${unit}` : '';
        if (typeof found === 'string') return `| ${title} | ${key} | not measured: ${found} | |`;
        const ratio = median(found.map((value, turn) => Number(first[turn]) / value));
        return `| ${title} | ${key} | ${median(found).toPrecision(3)} | ${at === 0 ? '' : ratio.toFixed(2)} |`;
      });
    });
  }
}

export function machine(): string {
  const [{ model } = { model: 'unknown' }] = cpus();
  return `${model}, ${cores()} cores, ${Math.round(totalmem() / 2 ** 30)} GiB, Node.js ${process.version}`;
}
