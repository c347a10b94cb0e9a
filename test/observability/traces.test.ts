/** Traces as a collector receives them. */
import { readFile } from 'node:fs/promises';
import { createServer } from 'node:http';
import type { AddressInfo } from 'node:net';
import { json } from 'node:stream/consumers';
import { setTimeout as wait } from 'node:timers/promises';
import t from 'tap';
import { startService } from '../support/service.js';

interface Span {
  readonly traceId: string;
  readonly spanId: string;
  readonly parentSpanId?: string;
  readonly name: string;
  readonly startTimeUnixNano: string;
  readonly endTimeUnixNano: string;
  readonly attributes: readonly { readonly key: string; readonly value: object }[];
}
interface Export {
  readonly resourceSpans: readonly { readonly scopeSpans: readonly { readonly spans: readonly Span[] }[] }[];
}

t.test("a request is a span of its client's trace, with its stages below it", async (t) => {
  const spans: Span[] = [];
  const collector = createServer((request, response) => {
    void json(request).then((body) => {
      for (const { scopeSpans } of (body as Export).resourceSpans) {
        for (const scope of scopeSpans) spans.push(...scope.spans);
      }
      response.end('{}');
    });
  });
  await new Promise<void>((resolve) => collector.listen(0, '127.0.0.1', resolve));
  t.teardown(() => collector.close());
  const { port } = collector.address() as AddressInfo;
  const service = await startService({ app: { traces: `http://127.0.0.1:${port}/v1/traces` } });
  const traceId = '0af7651916cd43dd8448eb211c80319c';
  const clientSpan = 'b7ad6b7169203331';
  const image = await readFile(new URL('../../../examples/defect-1.png', import.meta.url));
  const response = await fetch(`${service.address}/v1/detectors/sample/localize?as=overlay`, {
    method: 'POST',
    body: Uint8Array.from(image),
    headers: { 'content-type': 'image/png', traceparent: `00-${traceId}-${clientSpan}-01` },
  });
  t.equal(response.status, 200);
  await response.arrayBuffer();
  await fetch(`${service.address}/health/live`);
  await service.stop();

  const server = spans.find(({ name }) => name === 'POST /v1/detectors/:detector/localize');
  t.match(server, { traceId, parentSpanId: clientSpan });
  t.match(
    server?.attributes.find(({ key }) => key === 'http.response.status_code'),
    { value: { intValue: 200 } },
  );
  for (const stage of ['decode', 'inference', 'render']) {
    const span = spans.find(({ name }) => name === stage);
    t.match(span, { traceId, parentSpanId: server?.spanId }, stage);
    t.ok(BigInt(span?.endTimeUnixNano ?? 0) > BigInt(span?.startTimeUnixNano ?? 0), `${stage} took time`);
  }
  t.notOk(
    spans.some(({ name }) => name.includes('health')),
    'probes are not traced',
  );
});

t.test('an unreachable collector is logged', async (t) => {
  const lines: string[] = [];
  const stream = { write: (line: string) => lines.push(line) };
  const app = { traces: 'http://127.0.0.1:9/v1/traces', logger: { level: 'warn', stream } };
  const service = await startService({ app });
  await fetch(`${service.address}/v1/detectors`);
  const told = (): boolean =>
    lines.some((line) => line.includes('traces are not sent') && line.includes('127.0.0.1:9'));
  // The exporter retries a few times first.
  for (let tries = 0; tries < 600 && !told(); tries++) await wait(100);
  t.ok(told(), lines.join(''));
  await service.stop();
});
