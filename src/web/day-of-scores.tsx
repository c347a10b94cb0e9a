/** Mean scores of the last day as a line, beside the threshold, and whether they drift. */
import type { DetectorSummary } from './api.js';
import { short } from './numbers.js';

/** Interquartile ranges from which the photos no longer look like those of the calibration. */
const muchDrift = 1.5;
const [width, height, margin] = [110, 26, 3];

export function DayOfScores({ detector }: { readonly detector: DetectorSummary }) {
  const { lastDay, threshold, drift } = detector;
  const hours = lastDay.meanScores.flatMap((score, hour) => (score === null ? [] : [{ hour, score }]));
  const last = hours.at(-1);
  if (!last) return <span class="soft">none</span>;
  const scores = [...hours.map(({ score }) => score), threshold, 0];
  const [low, high] = [Math.min(...scores), Math.max(...scores)];
  const x = (hour: number): number =>
    margin + (hour * (width - 2 * margin)) / (lastDay.meanScores.length - 1);
  const y = (score: number): number =>
    height - margin - ((score - low) * (height - 2 * margin)) / Math.max(high - low, 1e-9);
  return (
    <>
      <svg
        class="spark"
        viewBox={`0 0 ${width} ${height}`}
        role="img"
        aria-label={`Mean score ${short(last.score)} in the last hour, threshold ${short(threshold)}`}
      >
        <line x1={margin} x2={width - margin} y1={y(threshold)} y2={y(threshold)} />
        <polyline points={hours.map(({ hour, score }) => `${x(hour)},${y(score)}`).join(' ')} />
        <circle cx={x(last.hour)} cy={y(last.score)} r="2" />
      </svg>{' '}
      {drift !== undefined && (
        <span
          class={Math.abs(drift) > muchDrift ? 'note warn' : 'soft small'}
          title="How far the discrepancies of the last photos have moved, in interquartile ranges of good ones"
        >
          {Math.abs(drift) > muchDrift ? `drifts (${short(drift)})` : 'calm'}
        </span>
      )}
    </>
  );
}
