/** The command line as a user calls it: output, exit codes, one-line errors. */
import { execFile } from 'node:child_process';
import { copyFile, cp, readdir, readFile, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { Writable } from 'node:stream';
import { setTimeout as wait } from 'node:timers/promises';
import { fileURLToPath } from 'node:url';
import sharp from 'sharp';
import t from 'tap';
import { runProgram } from '../../src/cli/program.js';
import type { Manifest } from '../../src/detector/index.js';
import { mobileModel } from '../support/foreign-models.js';
import { type Ended, runMkd as mkd } from '../support/run-mkd.js';
import { onlySample } from '../support/service.js';

const main = fileURLToPath(new URL('../../src/cli/main.js', import.meta.url));
const example = (name: string): string =>
  fileURLToPath(new URL(`../../../examples/${name}`, import.meta.url));

const root = fileURLToPath(new URL('../../../', import.meta.url));

/** Runs a command with environment variables. */
async function mkdWith(variables: Readonly<Record<string, string>>, ...args: string[]): Promise<Ended> {
  const before = { ...process.env };
  Object.assign(process.env, variables);
  try {
    return await mkd(...args);
  } finally {
    process.env = before;
  }
}

/** Runs a command as a shell does: in a process of its own. */
function spawned(args: readonly string[], variables: NodeJS.ProcessEnv = {}): Promise<Ended> {
  const env = { ...process.env, ...variables };
  return new Promise((resolve) => {
    execFile(process.execPath, [main, ...args], { env }, (error, out, err) => {
      resolve({ code: error ? Number(error.code) : 0, out, err });
    });
  });
}

t.test('a process ends with the exit code of its command, and writes to its own streams', async (t) => {
  t.match(await spawned(['--version']), { code: 0, out: /^\d+\.\d+\.\d+\n$/, err: '' });
  t.match(await spawned(['verify', '/nowhere']), { code: 1, out: '', err: /^mkd: .*\n$/ });
  t.match(await spawned(['frobnicate']), { code: 2, out: '', err: /unknown command/ });
  const failed = await spawned(['score', 'sample', example('good-1.png'), '/nowhere.png']);
  t.match(failed, { code: 1, out: /^good .*\n$/, err: 'mkd: /nowhere.png does not exist\n' });
});

t.test('every command has help', async (t) => {
  for (const command of [
    'distill',
    'score',
    'verify',
    'serve',
    'sample',
    'evaluate',
    'calibrate',
    'expert',
  ]) {
    const { code, out } = await mkd(command, '--help');
    t.equal(code, 0, command);
    t.match(out, new RegExp(`Usage: mkd ${command}`), command);
  }
});

t.test('wrong arguments exit with 2 and a message that says what is right', async (t) => {
  for (const [args, message] of [
    [['frobnicate'], /unknown command 'frobnicate'/],
    [['distill', 'x'], /--out/],
    [['distill', 'x', '--out', 'y', '--size', 'big'], /Must be a multiple of 32 from 32 to 1024/],
    [['distill', 'x', '--out', 'y', '--size', '63'], /Must be a multiple of 32/],
    [['score', 'sample', 'x.png', '--regions'], /--regions needs --json/],
    [['distill', 'x', '--out', 'y', '--range', '0:4095:3'], /Must be two numbers, the lower one first/],
    [['distill', 'x', '--out', 'y', '--range', '0:'], /Must be a number/],
    [['distill', 'x', '--out', 'y', '--tile-scale', '0'], /Must be a number above 0 and at most 4/],
    [
      ['distill', 'x', '--out', 'y', '--recipe', 'paper', '--lambda', '-1'],
      /lambda -1: must be a number of at least 0/,
    ],
    [['distill', 'x', '--out', 'y', '--recipe', 'soup'], /linear, paper/],
    [['score', 'sample'], /image/],
    [['serve', '--tls-cert', 'x'], /both a certificate and its key/],
    [['serve', '--traces', 'collector'], /Must be a URL/],
    [['score', 'sample', 'x.png', '--threshold', 'low'], /Must be a number/],
    [['evaluate', 'sample'], /pass a data set, or --normal and --abnormal folders/],
    [['evaluate', 'sample', 'x', '--normal', 'y'], /not both/],
    [['keys', 'add'], /missing required argument 'file'/],
    [['keys', 'add', 'k.json', 'a', '--scope', 'all'], /Allowed choices are/],
    [['expert', 'import', 'f.onnx', '--input', 'x'], /Allowed choices are/],
    [['expert', 'import', 'f.onnx', '--layers', 'a,,b'], /Must be names separated by commas/],
    [['calibrate', 'sample'], /pass one of: a folder of good images, --verdicts, --threshold/],
    [['calibrate', 'sample', 'x', '--false-alarm-rate', '2'], /Must be a number between 0 and 1/],
  ] as const) {
    const { code, err } = await mkd(...args);
    t.equal(code, 2, args.join(' '));
    t.match(err, message);
  }
});

t.test('a failure exits with 1 and one line on stderr', async (t) => {
  const { code, err } = await mkd('verify', '/nowhere');
  t.equal(code, 1);
  t.equal(
    err,
    "mkd: there is no detector '/nowhere': it is neither a folder nor an embedded detector (sample, sample-paper)\n",
  );
  const empty = await mkd('score', 'sample', t.testdir());
  t.equal(empty.code, 1);
  t.match(empty.err, /has no images; wanted JPEG/);
  const experts = await mkd('expert', 'import', example('good-1.png'));
  t.equal(experts.code, 1);
  t.match(experts.err, /^mkd: good-1\.png: wanted a \.safetensors or \.onnx file\n$/);
});

t.test('errors of the operating system are explained in words', async (t) => {
  const folder = t.testdir({ file: '' });
  const said = async (...args: string[]) => (await mkd(...args)).err;
  t.equal(await said('score', 'sample', '/nowhere.png'), 'mkd: /nowhere.png does not exist\n');
  t.match(await said('sample', join(folder, 'file')), /is a file or inside one; wanted a folder/);
  t.match(
    await said('evaluate', 'sample', folder, '--json', '/nowhere/x.json'),
    /x\.json cannot be written: there is no folder \/nowhere/,
  );
  t.match(await said('expert', 'import', '/nowhere.onnx'), /cannot be read: \/nowhere\.onnx does not exist/);
  t.match(await said('sample', folder), /is not empty; choose a new folder/);
  t.match(await said('serve', '--keys', folder), /cannot be read: \S+ is a folder; wanted a file/);
  t.match(await said('serve', '--config', '/nowhere'), /cannot be read: \/nowhere does not exist/);
  t.match(await said('serve', '--host', '192.0.2.1'), /'192\.0\.2\.1' is not an address .* with --host/);
  t.match(await said('keys', 'add', '/nowhere/k.json', 'a'), /k\.json cannot be written: there is no folder/);
  t.match(await said('distill', example('good-1.png'), '--out', 'y'), /is a file; wanted a folder/);
  // Node's recursive mkdir never returns there.
  if (process.platform === 'linux') {
    t.match(
      await said('distill', folder, '--out', '/proc/x'),
      /\/proc\/x cannot be written: no folder can be created in \/proc/,
    );
    t.match(await said('sample', '/proc/x'), /\/proc\/x cannot be created/);
  }
  t.match(
    await said('verify', join(root, 'models')),
    /is not a detector: .*; use .*models\/sample, .*models\/sample-paper\n$/,
  );
});

t.test('folders of images are scored, and files with the same name get separate heatmaps', async (t) => {
  const folder = t.testdir({ a: {}, b: {} });
  for (const [part, image] of [
    ['a', 'good-1.png'],
    ['b', 'defect-2.png'],
  ] as const) {
    await copyFile(example(image), join(folder, part, '000.png'));
  }
  const heatmaps = join(folder, 'heatmaps');
  const images = [join(folder, 'a'), join(folder, 'b', '000.png')];
  const experts = ['--experts', folder, '--experts', folder];
  const flags = ['--heatmaps', heatmaps, '--json', '--regions'];
  const { out } = await mkd('score', ...flags, ...experts, 'sample', ...images);
  t.strictSame((await readdir(heatmaps, { recursive: true })).sort(), ['a', 'a/000.png', 'b', 'b/000.png']);
  const [, defect] = out
    .trim()
    .split('\n')
    .map((line) => JSON.parse(line) as { regions: { area: number; box: { width: number } }[] });
  t.ok(
    defect && defect.regions.length > 0 && defect.regions.every(({ area, box }) => area > 0 && box.width > 0),
  );
});

t.test('600 paths are scored one by one, and no temporary files remain', async (t) => {
  const folder = t.testdir({ home: {} });
  const home = join(folder, 'home');
  const files = Array.from({ length: 600 }, (_, at) => join(folder, `${at}.png`.padStart(40, '0')));
  await copyFile(example('good-1.png'), files[0] as string);
  // With a GPU, its driver caches compiled kernels in the home folder.
  const score = ['score', 'sample', '--provider', 'cpu'];
  const { code, out, err } = await spawned([...score, ...files], { HOME: home, TMPDIR: home });
  t.equal(code, 1);
  t.match(out, /^good .*0\.png\n$/);
  t.equal(err.trim().split('\n').length, 599, 'one line per missing file');
  t.same(await readdir(home), []);
});

t.test('a reader that stops reading is not a failure, and all heatmaps are still written', async (t) => {
  const folder = t.testdir();
  const images = ['defect-1.png', 'defect-2.png', 'defect-3.png']
    .map((name) => `'${example(name)}'`)
    .join(' ');
  const command = `'${process.execPath}' '${main}' score sample ${images} --json`;
  const read = (options: string) =>
    new Promise<{ out: string; err: string }>((resolve) => {
      execFile('sh', ['-c', `${command} ${options} | head -c 1`], (_error, out, err) =>
        resolve({ out, err }),
      );
    });
  t.same(await read(''), { out: '{', err: '' });
  t.same(await read(`--heatmaps '${folder}'`), { out: '{', err: '' });
  t.equal((await readdir(folder)).length, 3);
});

t.test('flags override variables, variables override the file, and wrong settings are named', async (t) => {
  const folder = t.testdir({
    'config.json': JSON.stringify({ port: 9001, maxBatchSize: 4, timeoutMs: 5000, experts: ['experts'] }),
    'unknown.json': '{ "prot": 1 }',
    'wrong.json': '{ "port": "high", "provider": "gpu", "cudaDevices": [-1], "traces": "ftp://x" }',
    'list.json': '[]',
    'origin.json': '{ "corsOrigins": ["line.example"] }',
    'one-port.json': '{ "port": 9001, "operationsPort": 9001 }',
    'slow.json': '{ "drainMs": 1000, "stopDelayMs": 2000 }',
  });
  const file = (name: string): string[] => ['serve', '--config', join(folder, name), '--print-config'];
  const origins = await mkd('serve', '--cors-origins', 'HTTPS://Example.COM/', '--print-config');
  t.equal(origins.code, 0, 'a scheme has no case');
  const variables = { MKD_MAX_BATCH_SIZE: '2', PORT: '9002' };
  const { out } = await mkdWith(variables, ...file('config.json'), '--port', '9003');
  const config = JSON.parse(out) as Record<string, unknown>;
  t.match(config, { port: 9003, maxBatchSize: 2, timeoutMs: 5000, experts: ['experts'], host: '0.0.0.0' });
  for (const [name, message] of [
    ['unknown.json', /no setting 'prot'; available: experts, .*, port, /],
    [
      'wrong.json',
      /port: must be a whole number from 0 to 65535, not "high"; provider: .* auto, cpu, cuda, not "gpu"; cudaDevices: .*; traces: must be a URL/,
    ],
    ['list.json', /not a JSON object/],
    [
      'origin.json',
      /corsOrigins: must be a list in which each entry is an origin, https:\/\/host:port, or \* for all/,
    ],
    ['one-port.json', /operationsPort: must be another port than port, 9001/],
    ['slow.json', /stopDelayMs: must be at most drainMs, 1000, not 2000/],
  ] as const) {
    const { code, err } = await mkd(...file(name));
    t.equal(code, 2, name);
    t.match(err, message);
  }
  const pod = {
    MKD_SERVICE_HOST: '10.0.0.1',
    MKD_SERVICE_PORT_HTTP: '80',
    MKD_PORT: 'tcp://10.0.0.1:80',
    MKD_QUEUE_REDIS_SERVICE_HOST: '10.0.0.2',
    MKD_QUEUE_REDIS_PORT: 'tcp://10.0.0.2:6379',
    MKD_QUEUE_REDIS_PORT_6379_TCP: 'tcp://10.0.0.2:6379',
    MKD_REDIS: 'redis://10.0.0.2:6379',
    MKD_PORT_80_TCP_ADDR: '10.0.0.1',
    MKD_CORS_ORIGINS: 'http://a http://b',
    MKD_CUDA_DEVICES: '0 1',
  };
  const inPod = await mkdWith(pod, 'serve', '--print-config');
  t.match(JSON.parse(inPod.out), { corsOrigins: ['http://a', 'http://b'], cudaDevices: [0, 1] });
  for (const [name, value] of [
    ['MKD_PORT', '9000'],
    ['MKD_KEYS', ''],
    ['LOG_LEVEL', 'loud'],
  ] as const) {
    t.equal((await mkdWith({ [name]: value }, 'serve', '--print-config')).code, 2, name);
  }
  const misspelt = await mkdWith({ MKD_MAX_BACH_SIZE: '2' }, 'serve', '--print-config');
  t.equal(misspelt.code, 2);
  t.match(misspelt.err, /no variable MKD_MAX_BACH_SIZE; available: .*MKD_MAX_BATCH_SIZE/);
});

/** Runs `mkd serve` until its output has a text, and stops it as Ctrl-C does. @returns the output */
async function served(terminal: boolean, until: string, ...more: readonly string[]): Promise<string> {
  let out = '';
  let address: string | undefined;
  const stdout = Object.assign(
    new Writable({
      write(chunk, _encoding, done) {
        out += String(chunk);
        address ??= /http:\/\/127\.0\.0\.1:\d+/.exec(out)?.[0];
        done();
      },
    }),
    { isTTY: terminal },
  );
  const args = ['serve', '--host', '127.0.0.1', '--port', '0', '--provider', 'cpu', '--stop-delay-ms', '0'];
  const ended = runProgram([...args, ...more], { stdout, stderr: process.stderr });
  const has = async (what: string): Promise<void> => {
    for (let tries = 0; tries < 600 && !out.includes(what); tries++) await wait(100);
  };
  await has(terminal ? 'Ctrl-C' : '"ready"');
  await fetch(`${address}/v1/detectors?api_key=mkd_secret`);
  await has(until);
  process.emit('SIGINT', 'SIGINT');
  if ((await ended) !== 0) throw new Error(out);
  return out;
}

t.test('on a terminal the log is lines for people, with what to do next; in a pipe it is JSON', async (t) => {
  // What --open starts is the browser that this variable names.
  const folder = t.testdir();
  const browser = join(folder, 'browser');
  await writeFile(browser, `#!/bin/sh\necho "$1" > ${folder}/opened\n`, { mode: 0o755 });
  process.env.BROWSER = browser;
  t.teardown(() => delete process.env.BROWSER);
  const shown = await served(true, 'GET /v1/detectors', '--detectors', onlySample, '--open');
  const opened = await readFile(join(folder, 'opened'), 'utf8');
  t.match(opened, /^http:\/\/127\.0\.0\.1:\d+\n$/);
  t.match(shown, 'serves sample on cpu');
  t.ok(shown.includes(opened.trim()));
  t.match(shown, /http:\/\/127\.0\.0\.1:\d+ serves sample on cpu\n/);
  t.match(shown, /curl -s -F image=@photo\.png http:\S+\/v1\/detectors\/sample\/score\n/);
  t.match(shown, /GET \/v1\/detectors\?api_key=\[redacted\] \d{3} in \d+ ms/);
  t.notMatch(shown, /[{}]/, 'no JSON');
  const piped = await served(false, 'GET /v1/detectors', '--detectors', onlySample);
  const lines = piped
    .trim()
    .split('\n')
    .map((line) => JSON.parse(line) as { msg: string; status?: number });
  t.match(
    lines.filter(({ msg }) => msg.startsWith('GET')),
    [{ method: 'GET', url: '/v1/detectors?api_key=[redacted]', remoteAddress: '127.0.0.1' }],
    'one line for a request',
  );
});

t.test('keys are created, listed and revoked', async (t) => {
  const file = join(t.testdir(), 'keys.json');
  const made = await mkd('keys', 'add', file, 'line-1', '--rate', '600');
  t.equal(made.code, 0);
  t.match(made.out, /^mkd_[\w-]{43}\n$/);
  t.equal((await mkd('keys', 'add', file, 'prometheus', '--scope', 'metrics')).code, 0);
  t.equal(
    (await mkd('keys', 'list', file)).out,
    'line-1  score  600 requests per minute\nprometheus  metrics  no limit\n',
  );
  const again = await mkd('keys', 'add', file, 'line-1');
  t.equal(again.code, 2);
  t.match(again.err, /line-1 already has a key; --replace/);
  t.match((await mkd('keys', 'add', file, 'line-1', '--replace', '--rate', '60')).out, /^mkd_/);
  t.match((await mkd('keys', 'list', file)).out, /line-1 {2}score {2}60 requests per minute/);
  t.equal((await mkd('keys', 'remove', file, 'line-1')).code, 0);
  const unknown = await mkd('keys', 'remove', file, 'line-1');
  t.equal(unknown.code, 2);
  t.match(unknown.err, /there is no key named line-1; available: prometheus/);
  t.equal((await mkd('keys', 'add', file, 'a b')).code, 2);
});

t.test('the embedded detector passes its self-test', async (t) => {
  const { code, out } = await mkd('verify', 'sample');
  t.equal(code, 0);
  t.match(out, /passed on/);
});

t.test(
  'prints scores as JSON lines and writes heatmaps; a bad image is reported and the rest are scored',
  async (t) => {
    const folder = t.testdir();
    const { code, out, err } = await mkd(
      'score',
      'sample',
      example('good-1.png'),
      main,
      example('defect-1.png'),
      '--json',
      '--heatmaps',
      folder,
    );
    t.equal(code, 1);
    t.match(err, /main\.js: this is not a JPEG/);
    const lines = out
      .trim()
      .split('\n')
      .map((line) => JSON.parse(line) as { verdict: string });
    t.strictSame(
      lines.map(({ verdict }) => verdict),
      ['good', 'anomalous'],
    );
    t.strictSame(await readdir(folder), ['defect-1.png', 'good-1.png']);
    const onto = await mkd('score', 'sample', join(folder, 'good-1.png'), '--heatmaps', folder);
    t.equal(onto.code, 2);
    t.match(onto.err, /a heatmap would overwrite the image .*good-1\.png; choose another folder/);
  },
);

t.test('a sample is drawn, and a detector is distilled, evaluated and calibrated with it', async (t) => {
  const folder = t.testdir();
  const data = join(folder, 'data');
  t.equal((await mkd('sample', data, '--train', '10', '--good', '3', '--defective', '1')).code, 0);
  // A small expert, so that this takes seconds.
  const file = join(folder, 'mobile.onnx');
  await writeFile(file, mobileModel(64).bytes);
  const experts = join(folder, 'experts');
  const layers = 'features.1,features.2,features.3';
  const imported = await mkd('expert', 'import', file, '--layers', layers, '--out', experts);
  t.match(imported, { code: 0, out: /mobile\.json: expert [0-9a-f]{12}; use it with mkd distill --expert/ });
  const card = join(experts, 'mobile.json');
  const withExpert = ['--experts', experts];
  const out = join(folder, 'detector');
  const settings = ['--recipe', 'paper', '--expert', card, '--size', '32', '--epochs', '2', '--batch', '4'];
  const distilled = await mkd('distill', data, '--out', out, ...settings);
  t.equal(distilled.code, 0);
  t.match(distilled.out, /distilled from 10 images \(2 held back\)/);
  t.match(
    distilled.err,
    /calibration with 2 good images held back guarantees .* of 33\.3 % at best; 5 % needs 19: 124 photos, or 19/,
  );
  const json = join(folder, 'report.json');
  const evaluated = await mkd('evaluate', out, data, '--json', json, ...withExpert);
  t.equal(evaluated.code, 0);
  t.match(evaluated.out, /image AUROC/);
  const report = JSON.parse(await readFile(json, 'utf8')) as Record<string, unknown>;
  const images = report.scores as { path: string; anomalous: boolean; score: number; verdict: string }[];
  t.equal(images.length, 3 + 5, 'every image');
  const called = (anomalous: boolean, verdict: string): number =>
    images.filter((image) => image.anomalous === anomalous && image.verdict === verdict).length;
  t.strictSame(report.confusion, {
    truePositives: called(true, 'anomalous'),
    falsePositives: called(false, 'anomalous'),
    trueNegatives: called(false, 'good'),
    falseNegatives: called(true, 'good'),
  });
  const { roc } = report.curves as { roc: { falsePositiveRate: number; truePositiveRate: number }[] };
  t.match(roc[0], { falsePositiveRate: 0, truePositiveRate: 0 });
  t.match(roc.at(-1), { falsePositiveRate: 1, truePositiveRate: 1 });
  const area = roc
    .slice(1)
    .reduce(
      (sum, { falsePositiveRate: x, truePositiveRate: y }, at) =>
        sum + ((x - (roc[at]?.falsePositiveRate ?? 0)) * (y + (roc[at]?.truePositiveRate ?? 0))) / 2,
      0,
    );
  t.ok(Math.abs(area - (report.imageAuroc as number)) < 1e-6, 'the curve has the area');
  const figures = ['imageAuroc', 'imageAveragePrecision', 'pixelAuroc', 'pixelAurocDefectiveOnly', 'aupro'];
  for (const figure of figures) {
    t.ok((report[figure] as number) >= 0 && (report[figure] as number) <= 1, figure);
  }
  const terms = report.terms as { layer: string; term: string; imageAurocWithout: number; counts: boolean }[];
  t.same(
    terms.map(({ layer, term }) => `${layer} ${term}`),
    [
      ...['features.1 value', 'features.2 value', 'features.3 value', 'all value'],
      ...['features.1 direction', 'features.2 direction', 'features.3 direction', 'all direction'],
    ],
  );
  t.ok(terms.every(({ counts }) => counts));

  const folders = ['--normal', join(data, 'test', 'good'), '--abnormal', join(data, 'test', 'crack')];
  const again = await mkd('evaluate', out, ...folders, '--masks', join(data, 'ground_truth'), ...withExpert);
  t.match(again.out, /crack +1 /);
  const [mask = ''] = await readdir(join(data, 'ground_truth', 'crack'));
  await cp(join(data, 'ground_truth'), join(folder, 'masks'), { recursive: true });
  const black = sharp({ create: { width: 256, height: 256, channels: 3, background: 'black' } });
  await black.png().toFile(join(folder, 'masks', 'crack', mask));
  const unmarked = await mkd('evaluate', out, ...folders, '--masks', join(folder, 'masks'), ...withExpert);
  t.match(unmarked.err, /1 of the masks of defective images mark no pixel .*: \/.*\/test\/crack\/\d+\.png/);
  t.match(unmarked.out, /crack +1 /, 'an empty mask is not an error: real data sets have them');
  const guided = await mkd('evaluate', out, data, '--method', 'guided', '--json', json, ...withExpert);
  t.match(guided.out, /maps +guided/);
  t.match(JSON.parse(await readFile(json, 'utf8')), { localization: 'guided' });
  const calibrated = await mkd(
    'calibrate',
    out,
    join(data, 'test', 'good'),
    '--false-alarm-rate',
    '0.3',
    ...withExpert,
  );
  t.equal(calibrated.code, 0);
  t.notMatch(calibrated.err, /guarantee/, 'the rate was requested');
  t.match(calibrated.out, /false alarms at most 30 % with 3 good images\n\d of 3 verdicts flip/);

  const known = await mkd(
    'score',
    out,
    join(data, 'train', 'good'),
    join(data, 'test', 'good'),
    '--json',
    ...withExpert,
  );
  const learned = known.out
    .trim()
    .split('\n')
    .flatMap((line) => {
      const { image, learned } = JSON.parse(line) as { image: string; learned?: boolean };
      return learned ? [image] : [];
    });
  t.ok(
    learned.length > 0 && learned.every((image) => image.includes('train')),
    'training images are marked as learned',
  );

  const others = join(folder, 'others');
  const [crack = ''] = await readdir(join(data, 'test', 'crack'));
  await cp(join(data, 'test', 'good'), others, { recursive: true });
  await cp(join(data, 'test', 'crack', crack), join(others, '-first.png'));
  const before = JSON.parse(await readFile(join(out, 'manifest.json'), 'utf8')) as Manifest;
  const added = join(folder, 'added');
  const more = await mkd('calibrate', out, others, '--add', '--out', added, ...withExpert);
  t.match(more.out, /with 4 good images/, 'known images are not counted again, even in another folder');
  const after = JSON.parse(await readFile(join(added, 'manifest.json'), 'utf8')) as Manifest;
  const counted = Object.values(after.calibration.directions).map((list) => list.length);
  t.ok(counted.length > 0 && counted.every((count) => count === 4), 'discrepancies are added too');
  t.strictSame(after.calibration.mapThresholds, before.calibration.mapThresholds);
  await cp(join(data, 'test', 'good'), join(folder, 'twice'), { recursive: true });
  await cp(join(data, 'test', 'good', '000.png'), join(folder, 'twice', 'copy.png'));
  const copies = await mkd(
    'calibrate',
    out,
    join(folder, 'twice'),
    '--false-alarm-rate',
    '0.3',
    ...withExpert,
  );
  t.match(copies.out, /with 3 good images/, 'copies are not counted');

  const versions = join(folder, 'versions');
  await cp(out, join(versions, 'first'), { recursive: true });
  await writeFile(join(versions, 'current'), 'first\n');
  const beside = await mkd(
    'calibrate',
    versions,
    join(data, 'test', 'good'),
    '--false-alarm-rate',
    '0.4',
    ...withExpert,
  );
  t.equal(beside.code, 0);
  const [, newest] = /version ([0-9a-f]{12})/.exec(beside.out) ?? [];
  t.match(await readFile(join(versions, 'current'), 'utf8'), new RegExp(`^${newest}\n[0-9a-f]{12}\n$`));
  t.strictSame((await readdir(versions)).sort(), [newest, 'current', 'first'].sort());
  t.match((await mkd('verify', versions, ...withExpert)).out, new RegExp(`version ${newest} passed`));
  const doubtful = await mkd(
    'calibrate',
    versions,
    join(data, 'test', 'crack'),
    '--false-alarm-rate',
    '0.6',
    ...withExpert,
  );
  t.equal(doubtful.err.includes('they may not be good'), doubtful.out.includes('was anomalous, now good'));
  const embedded = await mkd('calibrate', 'sample', join(data, 'test', 'good'), ...withExpert);
  t.equal(embedded.code, 2);
  t.match(embedded.err, /sample is an embedded detector .*; pass --out/);

  const byHand = join(folder, 'by-hand');
  const set = await mkd('calibrate', out, '--threshold', '1000', '--out', byHand, ...withExpert);
  t.match(set, { code: 0, out: /threshold .* -> 1000\.00, false alarms at most 25 % with 3 good images\n$/ });
  t.match(await mkd('score', byHand, join(data, 'test', 'crack'), ...withExpert), {
    out: /^good .*\(threshold 1000\.0/,
  });
  const low = await mkd('calibrate', out, '--threshold', '-1000', '--out', byHand, ...withExpert);
  t.match(low, { code: 1, err: /-1000 would call all 3 good images anomalous; they score/ });
  t.equal((await mkd('calibrate', out, data, '--threshold', '3', ...withExpert)).code, 2);

  const trained = await mkd('calibrate', out, data, ...withExpert);
  t.equal(trained.code, 1);
  t.match(
    trained.err,
    /was trained on 8 of the 10 images in .*data \(.*, \.\.\.\), which therefore score too low/,
  );
  const tested = await mkd(
    'evaluate',
    out,
    '--normal',
    join(data, 'train', 'good'),
    '--abnormal',
    join(data, 'test', 'crack'),
    ...withExpert,
  );
  t.equal(tested.code, 0);
  t.match(tested.err, /was trained on 8 of these images/);
  t.notMatch(again.err, /was trained on/);
});
