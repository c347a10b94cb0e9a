/** What tells of a worker: its health, and its metrics. */
import { once } from 'node:events';
import { createServer } from 'node:http';
import { Counter, collectDefaultMetrics, Histogram, Registry } from 'prom-client';
import type { WorkObserver } from './worker.js';

export interface Operations {
  readonly observer: WorkObserver;
  close(): Promise<void>;
}

/**
 * Serves `/metrics`, `/health/live` and `/health/ready`.
 * @param port 0 chooses one; without it nothing is served.
 */
export async function serveOperations(port: number | undefined, isReady: () => boolean): Promise<Operations> {
  const registry = new Registry();
  collectDefaultMetrics({ register: registry });
  const tasks = new Counter({
    name: 'mkd_worker_tasks_total',
    help: 'Tasks that this worker did, or that failed for good',
    labelNames: ['kind', 'outcome'],
    registers: [registry],
  });
  const images = new Counter({
    name: 'mkd_worker_images_total',
    help: 'Images by verdict; unreadable ones have none',
    labelNames: ['detector', 'verdict'],
    registers: [registry],
  });
  const seconds = new Histogram({
    name: 'mkd_worker_batch_seconds',
    help: 'Time for a batch of images, from its first file to its written rows',
    buckets: [0.1, 0.3, 1, 3, 10, 30, 100],
    registers: [registry],
  });
  for (const kind of ['score', 'distill']) {
    for (const outcome of ['done', 'failed']) tasks.inc({ kind, outcome }, 0);
  }
  const observer: WorkObserver = {
    scored: (rows, taken) => {
      seconds.observe(taken);
      for (const row of rows) {
        images.inc({ detector: row.detector, verdict: 'verdict' in row ? row.verdict : 'unreadable' });
      }
    },
    ended: (kind, outcome) => tasks.inc({ kind, outcome }),
  };
  if (port === undefined) return { observer, close: async () => {} };
  const server = createServer(async ({ url }, response) => {
    if (url === '/metrics') {
      response.setHeader('content-type', registry.contentType);
      response.end(await registry.metrics());
      return;
    }
    const known = url === '/health/live' || url === '/health/ready';
    const isWell = url === '/health/live' || (url === '/health/ready' && isReady());
    response.statusCode = known ? (isWell ? 200 : 503) : 404;
    response.setHeader('content-type', 'application/json');
    response.end(JSON.stringify({ status: known ? (isWell ? 'ready' : 'not ready') : 'not found' }));
  });
  server.listen(port);
  await once(server, 'listening');
  return {
    observer,
    close: async () => {
      server.closeAllConnections();
      server.close();
    },
  };
}
