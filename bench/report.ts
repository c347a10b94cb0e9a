/**
 * `npm run bench`: how fast the default detector is, beside other runtimes with the same exported graph and networks of others,
 * over HTTP, and at the limit of the processor. All sides take turns; cells are medians. `-- --quick` takes two minutes
 * and leaves out other sizes, experts and distilling. Writes bench/.report/report.md and report.json.
 */
import { execFile } from 'node:child_process';
import { mkdir, mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { parseArgs, promisify } from 'node:util';
import { embeddedExperts, type LoadedDetector, modelsFolder, readDetector } from '../src/detector/index.js';
import { cores } from '../src/files/cores.js';
import { sideOf } from '../src/imaging/index.js';
import { ScoringEngine } from '../src/scoring/index.js';
import { root, startPeer } from './peer.js';
import { Cells, machine } from './report/cells.js';
import { type GraphSide, GraphTimes } from './report/graphs.js';
import { arithmeticLimit, type Limit } from './report/limit.js';
import { start, wire } from './report/wire.js';

const { values } = parseArgs({ options: { quick: { type: 'boolean', default: false } } });
const { quick } = values;
const [turns, runs] = quick ? [3, 8] : [7, 20];
const runCommand = promisify(execFile);
const mkd = (...call: readonly string[]) => runCommand(join(root, 'dist/src/cli/main.js'), call);

const all: readonly GraphSide[] = [
  'onnxruntime (Python)',
  'OpenVINO float32',
  'OpenVINO bfloat16',
  'OpenVINO int8',
  'PyTorch eager',
  'PyTorch compiled',
];
const float32Sides: readonly GraphSide[] = ['onnxruntime (Python)', 'OpenVINO float32', 'PyTorch eager'];

const detector = await readDetector(join(modelsFolder, 'sample'));
const side = sideOf(detector.shape.inputSize);
const engine = await ScoringEngine.open({
  provider: 'cpu',
  dedicatedSessions: 1,
  maxBatchSize: 64,
  spinning: true,
});
const folder = await mkdtemp(join(tmpdir(), 'mkd-bench-'));
const exported = await startPeer('exported_times.py', [String(cores())], 'exported.txt');
const torch = await startPeer('torch_times.py', [String(cores())], 'torch.txt');
const cells = new Cells(turns);
const graphs = new GraphTimes(engine, { exported, torch }, folder);
const row = (
  called: string,
  of: LoadedDetector,
  asked: 'score' | 'score and map' | 'score and gradient',
  batch: number,
  sides: readonly GraphSide[],
) => graphs.row(cells, { detector: of, called, asked, batch, runs: Math.ceil(runs / batch), sides });
try {
  await defaultDetector();
  await wire(cells, engine, detector, {
    connections: quick ? [1, 16] : [1, 16, 64],
    images: quick ? 96 : 320,
  });
  await start(cells, quick ? 1 : 3);
  if (!quick) await others();
  const limit = await arithmeticLimit(side);
  const markdown = page(limit);
  console.log(`\n${markdown}`);
  const out = join(root, 'bench/.report');
  await mkdir(out, { recursive: true });
  await writeFile(join(out, 'report.md'), markdown);
  const json = { machine: machine(), created: new Date().toISOString(), quick, limit, cells: cells.all };
  await writeFile(join(out, 'report.json'), `${JSON.stringify(json, null, 2)}\n`);
} finally {
  await exported.close();
  await torch.close();
  await engine.close();
  await rm(folder, { recursive: true, force: true });
}

async function defaultDetector(): Promise<void> {
  const called = `${side} px`;
  await row(called, detector, 'score', 1, all);
  await row(called, detector, 'score and map', 1, [
    'onnxruntime (Python)',
    'OpenVINO float32',
    'OpenVINO bfloat16',
  ]);
  await row(called, detector, 'score and gradient', 1, float32Sides);
  if (!quick) {
    await row(called, detector, 'score', 8, all);
    await row(called, detector, 'score', 64, float32Sides);
    await row(called, detector, 'score and gradient', 8, float32Sides);
  }
  const networks = {
    'VGG-16, 128 px': { network: 'vgg16', size: 128 },
    'EfficientAD-S, 256 px': { network: 'efficientad-s', size: 256 },
    'PatchCore (WideResNet-50), 256 px': { network: 'patchcore', size: 256 },
  };
  await graphs.networks(cells, detector, networks, runs);
}

/** Other sizes and experts, and how long distilling takes. */
async function others(): Promise<void> {
  const photos = join(folder, 'photos');
  await mkd('sample', photos, '--train', '50', '--good', '1', '--defective', '1');
  const distill = async (name: string, ...flags: readonly string[]): Promise<LoadedDetector> => {
    await mkd('distill', photos, '--out', join(folder, name), '--provider', 'cpu', ...flags);
    return readDetector(join(folder, name));
  };
  for (const size of [128, 384]) {
    await row(`${size} px`, await distill(`of-${size}`, '--size', String(size)), 'score', 1, float32Sides);
  }
  const vgg16 = await distill('vgg16', '--expert', embeddedExperts.vgg16, '--size', '128');
  await row('VGG-16 as expert, 128 px', vgg16, 'score', 1, float32Sides);
  let distillations = 0;
  await cells.measure('distilling 50 photos', 's', {
    mkd: async () => {
      const began = performance.now();
      await distill(`again-${++distillations}`);
      return (performance.now() - began) / 1000;
    },
    'PatchCore’s network, one pass': async () => {
      const request = {
        network: 'patchcore',
        size: 256,
        batch: 1,
        runs: 50,
        compiled: false,
        gradient: false,
      };
      return Number((await torch.ask(request)).seconds);
    },
  });
}

function page({ multiplyAdds, gemmPerSecond, milliseconds }: Limit): string {
  return [
    `# The default detector`,
    '',
    `${machine()}. Medians of ${turns} turns; a ratio is the median over turns of the first side to this one.`,
    '',
    '| | | median | ratio |',
    '|---|---|---|---|',
    ...cells.rows(),
    '',
    `The expert has ${(multiplyAdds / 1e9).toFixed(2)} billion multiply-adds at ${side} px. At the rate of a matrix product of 1,024 x 1,024 in the same run ` +
      `(${(gemmPerSecond / 1e9).toFixed(0)} billion a second) they take ${milliseconds.toFixed(1)} ms.`,
    '',
  ].join('\n');
}
