/**
 * `npm run soak`: half an hour of mixed load: scores, maps, large images, refused requests. Resident memory is read
 * every ten seconds. After a third of the time, the 95 % interval of its slope (linear regression, bootstrap over
 * blocks of two minutes) must contain 0 or stay below 1 MiB per minute.
 */
import { readFile } from 'node:fs/promises';
import { join } from 'node:path';
import { setTimeout as wait } from 'node:timers/promises';
import sharp from 'sharp';
import { modelsFolder } from '../src/detector/index.js';
import { randomStream } from '../src/random/random.js';
import { root } from './peer.js';
import { Client, multipart, quantile, startService } from './service.js';

const minutes = Number(process.argv[2] ?? 30);
const port = 18_086;
const everyMs = 10_000;
const reportEvery = 12;
const images = await Promise.all(
  ['good-1.png', 'defect-1.png', 'defect-2.png'].map((name) => readFile(join(root, 'examples', name))),
);
const large = await sharp(images[0]).resize(1600, 1200).jpeg().toBuffer();
const service = await startService(port, '--detectors', modelsFolder);
const client = new Client(port, 8);
const score = '/v1/detectors/sample/score';
const png = { 'content-type': 'image/png' };
const random = randomStream(0, 'soak');
const anyImage = (): Buffer => images[Math.floor(random() * images.length)] as Buffer;
const form = multipart('image', large);
/** What is sent, its weight, and the expected status. */
const mix: readonly (readonly [weight: number, status: number, () => Promise<{ status: number }>])[] = [
  [10, 200, () => client.send('POST', score, anyImage(), png)],
  [3, 200, () => client.send('POST', `${score}?map=anomalous`, anyImage(), png)],
  [2, 200, () => client.send('POST', '/v1/detectors/sample/localize?as=overlay', anyImage(), png)],
  [2, 200, () => client.send('POST', score, form.body, form.headers)],
  [
    1,
    200,
    () => client.send('POST', '/v1/detectors/sample/localize?as=map&method=gradient', anyImage(), png),
  ],
  [1, 200, () => client.send('GET', '/metrics')],
  [1, 200, () => client.send('GET', '/v1/detectors/sample')],
  [1, 422, () => client.send('POST', score, anyImage().subarray(0, 20_000), png)],
  [1, 415, () => client.send('POST', score, Buffer.from('no image'), png)],
  [1, 404, () => client.send('POST', '/v1/detectors/none/score', anyImage(), png)],
];
const deck = mix.flatMap((entry) => Array.from({ length: entry[0] }, () => entry));
const wrong = new Map<string, number>();
let answered = 0;
const until = performance.now() + 60_000 * minutes;
const clients = Array.from({ length: 6 }, async () => {
  while (performance.now() < until) {
    const [, expected, ask] = deck[Math.floor(random() * deck.length)] as (typeof deck)[number];
    const { status } = await ask();
    answered++;
    if (status !== expected) {
      const what = `${status}, expected ${expected}`;
      wrong.set(what, (wrong.get(what) ?? 0) + 1);
    }
  }
});
const samples: { readonly minute: number; readonly mib: number }[] = [];
const began = performance.now();
while (performance.now() < until) {
  await wait(everyMs);
  const minute = (performance.now() - began) / 60_000;
  const mib = (await service.residentBytes()) / 2 ** 20;
  samples.push({ minute, mib });
  if (samples.length % reportEvery === 0) {
    console.log(`minute ${minute.toFixed(0)}: ${answered} responses, ${mib.toFixed(0)} MiB`);
  }
}
await Promise.all(clients);
client.close();
const code = await service.stop();

const settled = samples.filter(({ minute }) => minute > minutes / 3);
const slopes = Array.from({ length: 1000 }, () => slopeOf(bootstrapSample(settled)));
const [low, high] = [quantile(slopes, 0.025), quantile(slopes, 0.975)];
console.log(
  `${minutes} minutes, ${answered} responses, wrong: ${JSON.stringify([...wrong])}, exit code ${code}`,
);
console.log(
  `resident memory ${settled[0]?.mib.toFixed(0)} MiB after a third, ${settled.at(-1)?.mib.toFixed(0)} MiB at the end; ` +
    `slope ${slopeOf(settled).toFixed(2)} MiB per minute (${low.toFixed(2)} to ${high.toFixed(2)})`,
);
process.exitCode = wrong.size === 0 && code === 0 && (low <= 0 || high < 1) ? 0 : 1;

type Sample = (typeof samples)[number];

function slopeOf(points: readonly Sample[]): number {
  const mean = (pick: (point: Sample) => number): number =>
    points.reduce((sum, point) => sum + pick(point), 0) / points.length;
  const [minute, mib] = [mean((point) => point.minute), mean((point) => point.mib)];
  const covariance = mean((point) => (point.minute - minute) * (point.mib - mib));
  return covariance / mean((point) => (point.minute - minute) ** 2);
}

/** Draws a bootstrap sample in blocks, because consecutive memory readings are correlated. */
function bootstrapSample(points: readonly Sample[]): Sample[] {
  const block = Math.min(12, Math.ceil(points.length / 4));
  const drawn: Sample[] = [];
  while (drawn.length < points.length) {
    const from = Math.floor(random() * (points.length - block + 1));
    drawn.push(...points.slice(from, from + block));
  }
  return drawn;
}
