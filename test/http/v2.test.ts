/** The Open Inference Protocol V2 on a real service. bench/clients/triton.py tests it with NVIDIA's client. */
import { readFile } from 'node:fs/promises';
import { gzipSync } from 'node:zlib';
import sharp from 'sharp';
import t from 'tap';
import type { RunningService } from '../../src/http/index.js';
import { bothKinds } from '../support/both-kinds.js';
import { startService } from '../support/service.js';

const example = (name: string): Promise<Buffer> =>
  readFile(new URL(`../../../examples/${name}`, import.meta.url));
const images = await Promise.all(['good-1.png', 'defect-1.png'].map(example));
let service: RunningService;
t.before(async () => {
  service = await startService({ detectors: await bothKinds(t) });
});
t.teardown(() => service.stop());

interface Tensor {
  readonly name: string;
  readonly shape: readonly number[];
  readonly datatype: string;
  readonly parameters?: { readonly binary_data_size: number };
  readonly data?: readonly unknown[];
}
interface Inferred {
  readonly id?: string;
  readonly model_name: string;
  readonly model_version: string;
  readonly outputs: readonly Tensor[];
}

const infer = (
  body: string | Uint8Array,
  headers: Record<string, string> = {},
  model = 'sample',
): Promise<Response> =>
  fetch(`${service.address}/v2/models/${model}/infer`, {
    method: 'POST',
    body: typeof body === 'string' ? body : Uint8Array.from(body),
    headers,
  });
const asJson = (value: object): string => JSON.stringify(value);
const base64Input = {
  name: 'image',
  shape: [2],
  datatype: 'BYTES',
  data: images.map((image) => image.toString('base64')),
};
const output = (answer: Inferred, name: string): Tensor => {
  const found = answer.outputs.find((tensor) => tensor.name === name);
  if (!found) throw new Error(`no output ${name}`);
  return found;
};
const v1Score = async (image: Uint8Array): Promise<number> => {
  const response = await fetch(`${service.address}/v1/detectors/sample/score`, {
    method: 'POST',
    body: Uint8Array.from(image),
    headers: { 'content-type': 'image/png' },
  });
  const { results } = (await response.json()) as { results: [{ score: number }] };
  return results[0].score;
};

t.test('images as base64 in JSON get the scores of /v1, and the response has the request id', async (t) => {
  const response = await infer(asJson({ id: 'seven', inputs: [base64Input] }));
  t.equal(response.status, 200);
  const answer = (await response.json()) as Inferred;
  t.match(answer, { id: 'seven', model_name: 'sample' });
  t.match(output(answer, 'score'), { shape: [2], datatype: 'FP32' });
  t.strictSame(output(answer, 'anomalous').data, [false, true]);
  t.match(output(answer, 'direction'), { shape: [2, 4] });
  t.notOk(
    answer.outputs.some(({ name }) => name === 'map'),
    'no map was requested',
  );
  const expected = await Promise.all(images.map(v1Score));
  for (const [index, score] of (output(answer, 'score').data as number[]).entries()) {
    t.ok(Math.abs(score - (expected[index] ?? 0)) < 1e-3);
  }
});

t.test('what is to be known of an image is told', async (t) => {
  const deep = await sharp(images[0]).toColourspace('rgb16').png().toBuffer();
  const data = [images[0] as Buffer, deep].map((image) => image.toString('base64'));
  const answer = await infer(asJson({ inputs: [{ ...base64Input, data }] }));
  t.match(await answer.json(), { parameters: { warnings: /^image 1: the image has 16 bits per sample/ } });
  const plain = await infer(asJson({ inputs: [base64Input] }));
  t.notOk('parameters' in ((await plain.json()) as object));
});

t.test('base64 may have line breaks', async (t) => {
  const [first] = base64Input.data;
  const lines = first?.replace(/.{76}/g, '$&\r\n');
  const broken = asJson({ inputs: [{ ...base64Input, shape: [1], data: [`${lines}\n`] }] });
  const plain = asJson({ inputs: [{ ...base64Input, shape: [1], data: [first] }] });
  const scores = await Promise.all(
    [broken, plain].map(
      async (body) => output((await (await infer(body)).json()) as Inferred, 'score').data as number[],
    ),
  );
  t.ok(Math.abs((scores[0]?.[0] as number) - (scores[1]?.[0] as number)) < 1e-3);
});

t.test('too many images, or an invalid tensor, are refused before they are decoded', async (t) => {
  const count = 200_000;
  const input = { name: 'image', datatype: 'UINT8', shape: [count, 1, 1, 3] };
  const refused = async (
    body: string | Uint8Array<ArrayBuffer>,
    headers: Record<string, string>,
    what: RegExp,
  ): Promise<void> => {
    const response = await fetch(`${service.address}/v2/models/sample/infer`, {
      method: 'POST',
      body,
      headers,
    });
    t.equal(response.status, 400);
    t.match(await response.json(), { error: what });
  };
  const head = Buffer.from(asJson({ inputs: [{ ...input, parameters: { binary_data_size: 3 * count } }] }));
  const body = Uint8Array.from(Buffer.concat([head, Buffer.alloc(3 * count)]));
  await refused(body, { 'inference-header-content-length': String(head.length) }, /1 to 32 images/);
  const depth = 10_000;
  const nested = `${'['.repeat(depth)}1${']'.repeat(depth)}`;
  const deep = `{"inputs":[{"name":"image","datatype":"UINT8","shape":[1,1,1,3],"data":${nested}}]}`;
  await refused(deep, {}, /whole numbers from 0 to 255, not a list/);
});

t.test('binary tensors may follow the JSON in requests and responses, also compressed', async (t) => {
  const elements = images.flatMap((image) => {
    const length = Buffer.alloc(4);
    length.writeUInt32LE(image.length);
    return [length, image];
  });
  const binary = Buffer.concat(elements);
  const head = Buffer.from(
    asJson({
      inputs: [
        { name: 'image', shape: [2], datatype: 'BYTES', parameters: { binary_data_size: binary.length } },
      ],
      outputs: [{ name: 'score', parameters: { binary_data: true } }, { name: 'anomalous' }, { name: 'map' }],
    }),
  );
  const body = Buffer.concat([head, binary]);
  const headers = { 'inference-header-content-length': String(head.length) };
  const plain = await infer(body, headers);
  const squeezed = await infer(gzipSync(body), { ...headers, 'content-encoding': 'gzip' });
  for (const response of [plain, squeezed]) {
    t.equal(response.status, 200);
    const bytes = Buffer.from(await response.arrayBuffer());
    const jsonLength = Number(response.headers.get('inference-header-content-length'));
    const answer = JSON.parse(bytes.toString('utf8', 0, jsonLength)) as Inferred;
    t.match(output(answer, 'score'), { parameters: { binary_data_size: 8 } });
    t.equal(output(answer, 'score').data, undefined);
    t.equal(bytes.length, jsonLength + 8);
    t.ok(bytes.readFloatLE(jsonLength) < bytes.readFloatLE(jsonLength + 4), 'the defect scores higher');
    t.match(output(answer, 'map'), { shape: [2, 256, 256] });
    t.equal(output(answer, 'map').data?.length, 2 * 256 * 256);
  }
});

t.test('decoded pixels are accepted', async (t) => {
  const pixels = { name: 'image', shape: [1, 2, 3, 3], datatype: 'UINT8' };
  const nested = [
    [
      [
        [1, 2, 3],
        [4, 5, 6],
        [7, 8, 9],
      ],
      [
        [1, 2, 3],
        [4, 5, 6],
        [7, 8, 9],
      ],
    ],
  ];
  const response = await infer(asJson({ inputs: [{ ...pixels, data: nested }] }));
  t.equal(response.status, 200);
  t.equal(output((await response.json()) as Inferred, 'score').shape[0], 1);
});

t.test('errors have the format of the protocol', async (t) => {
  const input = (changes: object): string => asJson({ inputs: [{ ...base64Input, ...changes }] });
  const cases: readonly (readonly [number, string, RegExp, Record<string, string>?])[] = [
    [400, '', /no body|not JSON/],
    [400, '{"inputs":', /not JSON/],
    [400, '{}', /inputs/],
    [400, input({ name: 'pixels' }), /one input, 'image'.*'pixels'/],
    [400, input({ datatype: 'FP32' }), /BYTES.*UINT8.*FP32/],
    [400, input({ datatype: 'FP32', shape: [1, 128, 128, 3] }), /BYTES.*UINT8.*FP32/],
    [400, input({ datatype: 'UINT8', shape: [128, 128, 3] }), /\[n, height, width, 3\], not \[128, 128, 3\]/],
    [400, input({ shape: [3] }), /2 elements, but its shape has 3/],
    [400, input({ data: ['äöü', ''] }), /base64/],
    [400, input({ data: undefined }), /neither data/],
    [400, input({ datatype: 'UINT8', shape: [1, 1, 1, 3], data: [1, 2, 300] }), /0 to 255, not 300/],
    [400, input({ datatype: 'UINT8', shape: [3], data: [1, 2, 3] }), /\[n, height, width, 3\]/],
    [400, input({ parameters: { binary_data_size: 10 } }), /needs 10 bytes, but 0 follow/],
    [400, asJson({ inputs: [base64Input], outputs: [{ name: 'logits' }] }), /no output 'logits'; available/],
    [400, input({}), /not 'x'/, { 'inference-header-content-length': 'x' }],
    [400, input({}), /cannot be decompressed/, { 'content-encoding': 'gzip' }],
    [400, input({}), /'br' is not supported/, { 'content-encoding': 'br' }],
    [415, input({ shape: [1], data: ['AAAA'] }), /not a JPEG/],
    [415, input({ data: [base64Input.data[0], 'AAAA'] }), /^image 1: .*not a JPEG/],
  ];
  for (const [status, body, words, headers] of cases) {
    const response = await infer(body, headers);
    const { error } = (await response.json()) as { error: string };
    t.equal(response.status, status, error);
    t.match(error, words);
  }
  for (const path of ['/v2/models/none', '/v2/models/sample/versions/9/ready', '/v2/models/none/stats']) {
    const response = await fetch(`${service.address}${path}`);
    t.equal(response.status, 404, path);
    t.type(((await response.json()) as { error: string }).error, 'string');
  }
  const unload = await fetch(`${service.address}/v2/repository/models/sample/unload`, { method: 'POST' });
  t.equal(unload.status, 403, 'without an admin key');
});

t.test('server, model, repository and statistics endpoints respond', async (t) => {
  const get = async (path: string, method = 'GET'): Promise<unknown> =>
    (await fetch(`${service.address}${path}`, { method })).json();
  t.match(await get('/v2'), { name: 'mkd', extensions: ['binary_tensor_data'] });
  const metadata = (await get('/v2/models/sample')) as { versions: [string] };
  t.match(metadata, { platform: 'mkd_onnxruntime', inputs: [{ name: 'image', shape: [-1] }] });
  const [version] = metadata.versions;
  t.match(await get(`/v2/models/sample/versions/${version}`), { name: 'sample' });
  t.match(await get('/v2/repository/index', 'POST'), [
    { name: 'sample', version, state: 'READY' },
    { name: 'sample-paper' },
  ]);
  for (const path of [
    '/v2/models/sample/stats',
    `/v2/models/sample/versions/${version}/stats`,
    '/v2/models/stats',
  ]) {
    const {
      model_stats: [statistics],
    } = (await get(path)) as {
      model_stats: [{ inference_count: number; inference_stats: { fail: { count: number } } }];
    };
    t.ok(statistics.inference_count > 5, path);
    t.ok(statistics.inference_stats.fail.count >= 2, 'images that could not be scored');
  }
  for (const probe of ['/v2/health/live', '/v2/health/ready', '/v2/models/sample/ready']) {
    t.equal((await fetch(`${service.address}${probe}`)).status, 200, probe);
  }
});
