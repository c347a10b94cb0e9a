/** The service itself: whether it is ready, and how much it does. */
import { signal } from '@preact/signals';
import { useEffect } from 'preact/hooks';
import { api, type Readiness } from './api.js';
import { Jobs } from './jobs.js';
import { type Sample, sampleOf } from './metrics-text.js';
import { milliseconds } from './numbers.js';

const pollMs = 2000;
const mostSamples = 90;
const samples = signal<readonly Sample[]>([]);
const trouble = signal<string | undefined>(undefined);

export function Service({ readiness }: { readonly readiness: Readiness | undefined }) {
  useEffect(() => {
    const poll = async (): Promise<void> => {
      try {
        samples.value = [...samples.value, sampleOf(await api.metrics())].slice(-mostSamples);
        trouble.value = undefined;
      } catch (error) {
        trouble.value = (error as Error).message;
      }
    };
    void poll();
    const timer = setInterval(() => void poll(), pollMs);
    return () => clearInterval(timer);
  }, []);
  const status = readiness?.status ?? 'no answer';
  const last = samples.value.at(-1);
  const rates = differences(({ images }) => images).map((count) => count / (pollMs / 1000));
  const busy = ratios(
    ({ inferenceSeconds }) => inferenceSeconds,
    ({ batches }) => batches,
  );
  const waits = ratios(
    ({ queueSeconds }) => queueSeconds,
    ({ images }) => images,
  );
  const batch = ratios(
    ({ images }) => images,
    ({ batches }) => batches,
  );
  return (
    <>
      <div class="bar">
        <h1>Service</h1>
        <span class={status === 'ready' ? 'note good' : 'note bad'}>{status}</span>
      </div>
      {trouble.value !== undefined && (
        <p class="note warn" role="alert">
          The metrics cannot be read: {trouble.value}
        </p>
      )}
      <div class="cards">
        <Card title="Photos a second" value={(rates.at(-1) ?? 0).toFixed(1)} line={rates} />
        <Card title="Inference of a batch" value={milliseconds(1000 * (busy.at(-1) ?? 0))} line={busy} />
        <Card title="Wait for the device" value={milliseconds(1000 * (waits.at(-1) ?? 0))} line={waits} />
        <Card title="Photos in a batch" value={(batch.at(-1) ?? 0).toFixed(1)} line={batch} />
        <Card
          title="Memory"
          value={last ? `${Math.round(last.memoryBytes / 1e6)} MB` : '–'}
          line={samples.value.map(({ memoryBytes }) => memoryBytes)}
        />
        <Card title="Device" value={readiness?.provider?.toUpperCase() ?? '–'} line={[]} />
      </div>
      <Jobs />
      <p class="soft">
        For more, connect Prometheus to <a href="/metrics">/metrics</a>.
      </p>
    </>
  );
}

function differences(of: (sample: Sample) => number): number[] {
  return samples.value
    .slice(1)
    .map((sample, index) => Math.max(0, of(sample) - of(samples.value[index] as Sample)));
}

/** What one count grew by, for each that the other grew by; the last known value while nothing happens. */
function ratios(of: (sample: Sample) => number, by: (sample: Sample) => number): number[] {
  const parts = differences(by);
  let last = 0;
  return differences(of).map((value, index) => {
    const part = parts[index] ?? 0;
    if (part > 0) last = value / part;
    return last;
  });
}

function Card({
  title,
  value,
  line,
}: {
  readonly title: string;
  readonly value: string;
  readonly line: readonly number[];
}) {
  const most = Math.max(...line, 1e-9);
  const points = line.map(
    (entry, index) => `${(index * 220) / (mostSamples - 1)},${24 - (20 * entry) / most}`,
  );
  return (
    <section class="panel">
      <h2 class="label">{title}</h2>
      <div class="big">{value}</div>
      {line.length > 1 && (
        <svg class="spark" viewBox="0 0 220 26" preserveAspectRatio="none" aria-hidden="true">
          <polyline points={points.join(' ')} />
        </svg>
      )}
    </section>
  );
}
