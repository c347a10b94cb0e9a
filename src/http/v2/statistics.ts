/** Statistics as the protocol's statistics extension writes them. */
import type { Duration, VersionStatistics } from '../../observability/index.js';

export function statisticsOf(statistics: VersionStatistics) {
  const {
    name,
    version,
    lastInference,
    inferences,
    executions,
    success,
    fail,
    queue,
    decode,
    inference,
    batches,
  } = statistics;
  const none: Duration = { count: 0, ns: 0 };
  return {
    name,
    version,
    last_inference: lastInference,
    inference_count: inferences,
    execution_count: executions,
    inference_stats: {
      success,
      fail,
      queue,
      compute_input: decode,
      compute_infer: inference,
      compute_output: none,
    },
    batch_stats: [...batches].map(([size, duration]) => ({ batch_size: size, compute_infer: duration })),
  };
}
