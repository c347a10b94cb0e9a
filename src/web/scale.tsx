/** The scores of good photos, the threshold, and the score of this photo, on one line. */
import { verdictOf } from '../detector/conformal.js';
import { short } from './numbers.js';

interface Props {
  /** Scores of good photos. */
  readonly good: readonly number[];
  readonly score: number;
  /** The detector's own threshold, by which the line is scaled. */
  readonly own: number;
  readonly threshold: number;
  readonly onThreshold: (value: number) => void;
}

const width = 320;
const margin = 14;
const mostDots = 150;

/**
 * Maps scores to places. Up to the threshold the line is even; beyond it, it is compressed: a defect may score a hundred
 * times as high as a good part.
 */
function places(good: readonly number[], score: number, threshold: number) {
  const low = Math.min(...good, score, threshold);
  const unit = Math.max(threshold - Math.min(...good), 1e-6) / 2;
  const squeeze = (value: number): number => Math.asinh((value - low) / unit);
  const high = squeeze(Math.max(...good, score, threshold) + unit / 4);
  const span = width - 2 * margin;
  return {
    at: (value: number): number => margin + (span * squeeze(value)) / high,
    valueAt: (x: number): number =>
      low + unit * Math.sinh(Math.min(1, Math.max(0, (x - margin) / span)) * high),
  };
}

export function Scale({ good, score, own, threshold, onThreshold }: Props) {
  const { at, valueAt } = places(good, score, own);
  const every = Math.ceil(good.length / mostDots);
  const dots = good.filter((_, index) => index % every === 0);
  const verdict = verdictOf(score, threshold);
  const steps = 1000;
  const toStep = (value: number): number => Math.round((steps * (at(value) - margin)) / (width - 2 * margin));
  return (
    <div class="scale">
      <svg
        viewBox={`0 0 ${width} 64`}
        role="img"
        aria-label={`Score ${short(score)}, threshold ${short(threshold)}, good photos ${short(Math.min(...good))} to ${short(Math.max(...good))}`}
      >
        {dots.map((value, index) => (
          <circle key={index} class="good" cx={at(value)} cy={36 + 9 * (((index * 7) % 5) / 2 - 1)} r="2.6" />
        ))}
        <line class="axis" x1={margin} x2={width - margin} y1="54" y2="54" />
        <line class="threshold" x1={at(threshold)} x2={at(threshold)} y1="14" y2="56" />
        <text x={at(threshold)} y="10" text-anchor={at(threshold) > width / 2 ? 'end' : 'start'}>
          threshold {short(threshold)}
        </text>
        <circle class={`me ${verdict}`} cx={at(score)} cy="36" r="5.5" />
        <text
          class={`me ${verdict}`}
          x={at(score)}
          y="24"
          text-anchor={at(score) > width - 60 ? 'end' : 'middle'}
        >
          {short(score)}
        </text>
      </svg>
      <input
        type="range"
        min="0"
        max={steps}
        value={toStep(threshold)}
        aria-label="Threshold to try out"
        aria-valuetext={short(threshold)}
        onInput={({ currentTarget }) =>
          onThreshold(valueAt(margin + (Number(currentTarget.value) / steps) * (width - 2 * margin)))
        }
      />
    </div>
  );
}
