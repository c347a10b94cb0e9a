/**
 * `npm run compare -- CHECKOUT`: checks that this checkout gives the same responses as another one, both built: every
 * JSON field, score, map, region and picture of /v1 and /v2, for 200 images of different formats and sizes, with the
 * embedded detector, one of the paper's recipe and one that cuts images into tiles. Numbers must be equal to the last
 * bit.
 */
import { execFile } from 'node:child_process';
import { cp, mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join, resolve } from 'node:path';
import { isDeepStrictEqual, promisify } from 'node:util';
import sharp, { type Sharp } from 'sharp';
import { drawSample, sampleDefects } from '../src/datasets/index.js';
import { root } from './peer.js';
import { type Answer, Client, multipart, startServiceOf } from './service.js';

const images = 200;
const [, , other] = process.argv;
if (other === undefined) throw new Error('the other checkout is missing; run npm run compare -- ../before');

const run = promisify(execFile);
const folder = await mkdtemp(join(tmpdir(), 'mkd-compare-'));
const detectors = join(folder, 'detectors');
const mkd = (...call: string[]) => run(join(resolve(other), 'dist/src/cli/main.js'), call);
console.log('distilling a detector with the paper recipe, and one with tiles');
await mkd('sample', join(folder, 'data'), '--train', '24', '--good', '1', '--defective', '1');
await cp(join(resolve(other), 'models', 'sample'), join(detectors, 'sample'), { recursive: true });
const quick = ['--size', '64', '--epochs', '3', '--batch', '8'];
await mkd('distill', join(folder, 'data'), '--out', join(detectors, 'paper'), '--recipe', 'paper', ...quick);
await mkd(
  'distill',
  join(folder, 'data'),
  '--out',
  join(detectors, 'tiled'),
  '--tile-scale',
  '0.4',
  '--size',
  '64',
);

/** Encoders of pictures. */
const formats: readonly ((part: Sharp, index: number) => Sharp)[] = [
  (part) => part.png(),
  (part) => part.jpeg({ quality: 100, chromaSubsampling: '4:4:4' }),
  (part) => part.jpeg({ quality: 75 }),
  (part) => part.jpeg({ progressive: true }),
  (part) => part.webp({ lossless: true }),
  (part) => part.webp({ quality: 80 }),
  (part) => part.tiff({ compression: 'lzw' }),
  (part) => part.tiff({ compression: 'none' }),
  (part) => part.toColourspace('b-w').png(),
  (part) => part.toColourspace('rgb16').png(),
  (part) => part.ensureAlpha(0.8).png(),
  (part) => part.toColourspace('cmyk').jpeg(),
  (part) => part.withMetadata({ orientation: 6 }).jpeg(),
  (part) => part.png({ palette: true }),
];
const sides: readonly (readonly [number, number])[] = [
  [256, 256],
  [200, 120],
  [97, 301],
  [640, 480],
];

async function pictureOf(index: number): Promise<Buffer> {
  const defect = sampleDefects[index % (2 * sampleDefects.length)];
  const { pixels, width, height } = drawSample({ seed: 5, index, ...(defect ? { defect } : {}) });
  const [wide, tall] = sides[index % sides.length] as (typeof sides)[number];
  const part = sharp(pixels, { raw: { width, height, channels: 3 } }).resize(wide, tall, { fit: 'fill' });
  const format = formats[index % formats.length] as (typeof formats)[number];
  return format(part, index).toBuffer();
}

/** Returns the requests for one image, by name. */
async function requestsFor(
  index: number,
  picture: Buffer,
): Promise<[string, (client: Client) => Promise<Answer>][]> {
  const name = ['sample', 'paper', 'tiled'][index % 3] as string;
  const raw = { 'content-type': 'application/octet-stream' };
  const v1 = (path: string) => (client: Client) =>
    client.send('POST', `/v1/detectors/${name}/${path}`, picture, raw);
  const methods = name === 'paper' ? ['gradient', 'guided'] : ['discrepancy', 'gradient', 'guided'];
  const form = multipart('image', picture);
  const bytes = (outputs: object[], binary: boolean) => (client: Client) => {
    const json = JSON.stringify({
      inputs: [{ name: 'image', datatype: 'BYTES', shape: [1], data: [picture.toString('base64')] }],
      outputs: outputs.map((output) => (binary ? { ...output, parameters: { binary_data: true } } : output)),
    });
    const type = { 'content-type': 'application/json' };
    return client.send('POST', `/v2/models/${name}/infer`, Buffer.from(json), type);
  };
  const outputs = ['score', 'threshold', 'p_value', 'anomalous', 'direction', 'value', 'map'].map(
    (output) => ({
      name: output,
    }),
  );
  return [
    ['score', v1('score')],
    ['score with map', v1('score?map=always')],
    ['maps of anomalous images', v1('score?map=anomalous&threshold=1')],
    ['multipart', (client) => client.send('POST', `/v1/detectors/${name}/score`, form.body, form.headers)],
    ['regions', v1(`localize?as=json&method=${methods[index % methods.length]}`)],
    ['map', v1(`localize?as=map&method=${methods[(index + 1) % methods.length]}`)],
    [
      ['heatmap', 'overlay', 'mask'][index % 3] as string,
      v1(`localize?as=${['heatmap', 'overlay', 'mask'][index % 3]}`),
    ],
    ['v2 JSON', bytes(outputs, false)],
    ['v2 binary', bytes(outputs, true)],
    ['v2 pixels', await pixelsRequest(name, picture)],
  ];
}

async function pixelsRequest(name: string, picture: Buffer): Promise<(client: Client) => Promise<Answer>> {
  const { data, info } = await sharp(picture)
    .flatten({ background: '#fff' })
    .toColourspace('srgb')
    .raw()
    .toBuffer({
      resolveWithObject: true,
    });
  const rgb =
    info.channels === 3 ? data : Buffer.from(Array.from(data).flatMap((gray) => [gray, gray, gray]));
  const shape = [1, info.height, info.width, 3];
  const parameters = { binary_data_size: rgb.length };
  const json = Buffer.from(
    JSON.stringify({
      inputs: [{ name: 'image', datatype: 'UINT8', shape, parameters }],
      outputs: [{ name: 'score' }, { name: 'map' }],
    }),
  );
  return (client) =>
    client.send('POST', `/v2/models/${name}/infer`, Buffer.concat([json, rgb]), {
      'content-type': 'application/octet-stream',
      'inference-header-content-length': String(json.length),
    });
}

/** Returns the content of a response, without ids and times, which differ between runs. */
function contentOf({ status, headers, body }: Answer): unknown {
  const kept = ['content-type', 'mkd-score', 'mkd-threshold', 'mkd-verdict'].map((name) => headers[name]);
  const type = String(headers['content-type']);
  const jsonLength = Number(
    headers['inference-header-content-length'] ?? (type.includes('json') ? body.length : 0),
  );
  const json: unknown = jsonLength > 0 ? JSON.parse(body.subarray(0, jsonLength).toString()) : undefined;
  return [status, kept, json && withoutIds(json), body.subarray(jsonLength).toString('base64')];
}

function withoutIds(value: unknown): unknown {
  if (Array.isArray(value)) return value.map(withoutIds);
  if (typeof value === 'string') return value.replace(/[0-9a-f]{8}-[0-9a-f-]{27}/, '<id>');
  if (typeof value !== 'object' || value === null) return value;
  return Object.fromEntries(
    Object.entries(value)
      .filter(([name]) => name !== 'timings')
      .map(([name, entry]) => [name, withoutIds(entry)]),
  );
}

const flags = ['--detectors', detectors, '--max-batch-size', '1'];
const ports = [18_081, 18_082] as const;
const services = [
  await startServiceOf(resolve(other), ports[0], ...flags),
  await startServiceOf(root, ports[1], ...flags),
];
const clients = ports.map((port) => new Client(port, 1)) as [Client, Client];
const counts = new Map<string, number>();
const differences: string[] = [];
for (let index = 0; index < images; index++) {
  for (const [what, request] of await requestsFor(index, await pictureOf(index))) {
    const [before, after] = [contentOf(await request(clients[0])), contentOf(await request(clients[1]))];
    counts.set(what, (counts.get(what) ?? 0) + 1);
    if (isDeepStrictEqual(before, after)) continue;
    differences.push(`image ${index}, ${what}`);
    if (differences.length <= 3)
      console.log(
        differences.at(-1),
        JSON.stringify(before).slice(0, 900),
        JSON.stringify(after).slice(0, 900),
      );
  }
}
for (const client of clients) client.close();
for (const service of services) await service.stop();
await rm(folder, { recursive: true });
for (const [what, count] of counts) console.log(`${String(count).padStart(4)} x ${what}`);
console.log(
  differences.length === 0
    ? 'all responses are the same'
    : `${differences.length} responses differ: ${differences.slice(0, 20).join('; ')}`,
);
process.exitCode = differences.length === 0 ? 0 : 1;
