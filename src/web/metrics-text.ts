/** Reads what the page shows from the metrics, in Prometheus' text format. */

/** Counts since the start of the service. */
export interface Sample {
  readonly images: number;
  readonly batches: number;
  readonly inferenceSeconds: number;
  readonly queueSeconds: number;
  readonly memoryBytes: number;
}

export function sampleOf(text: string): Sample {
  /** Adds up the series of a name. */
  const sum = (name: string): number => {
    const series = new RegExp(`^${name}(?:\\{[^\\n]*\\})? ([^ \\n]+)`, 'gm');
    return [...text.matchAll(series)].reduce((total, [, value]) => total + Number(value), 0);
  };
  return {
    images: sum('mkd_batch_images_sum'),
    batches: sum('mkd_batch_images_count'),
    inferenceSeconds: sum('mkd_inference_seconds_sum'),
    queueSeconds: sum('mkd_queue_seconds_sum'),
    memoryBytes: sum('process_resident_memory_bytes'),
  };
}
