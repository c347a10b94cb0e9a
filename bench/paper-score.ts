/**
 * `npm run bench:paper`: the paper's score, and the score with its gradient, compared with PyTorch eager with the same
 * weights and the same number of threads; `-- --provider cuda` compares them on a GPU. Both take turns, so that changes
 * in the speed of the machine affect both.
 */
import { readFile } from 'node:fs/promises';
import { availableParallelism } from 'node:os';
import { join } from 'node:path';
import { setTimeout as wait } from 'node:timers/promises';
import { assembleScorer, embeddedExperts, modelsFolder, readDetector } from '../src/detector/index.js';
import { sideOf } from '../src/imaging/index.js';
import { ScoringEngine } from '../src/scoring/index.js';
import { readSafetensors } from '../src/weights/safetensors.js';
import { startPeer } from './peer.js';
import { provider } from './provider.js';

const rounds = 9;
const runs = 3;
const pauseMs = 100;
const threads = availableParallelism();
const sample = join(modelsFolder, 'sample-paper');
const detector = await readDetector(sample);
const side = sideOf(detector.shape.inputSize);
const { lambda = 0 } = detector.manifest;
const layers = ['pool3', 'pool4', 'pool5'];
const zeros = layers.map(() => 0);
const scorer = assembleScorer(
  { ...detector.shape, scoringLayers: layers },
  {
    value: layers.map(() => lambda),
    direction: layers.map(() => 1),
    typical: { value: zeros, direction: zeros },
  },
  readSafetensors(await readFile(join(sample, 'cloner.safetensors'))),
);
const engine = await ScoringEngine.open({
  maxBatchSize: 16,
  provider,
  threads,
  dedicatedSessions: 1,
  spinning: true,
});
const peer = await startPeer('pytorch_score.py', [
  '--expert',
  join(modelsFolder, 'vgg16-imagenet.fp16.safetensors'),
  '--expert-card',
  embeddedExperts.vgg16,
  '--cloner',
  join(sample, 'cloner.safetensors'),
  '--size',
  String(side),
  '--threads',
  String(threads),
  '--lambda',
  String(lambda),
  '--device',
  provider,
]);

await checkSameScores();
console.log(
  `${side} x ${side}, ${provider === 'cpu' ? `${threads} threads` : 'CUDA'}, medians of ${rounds} turns of ${runs} runs, ms per image`,
);
for (const op of ['score', 'gradient'] as const) {
  for (const batch of provider === 'cpu' ? [1, 8] : [1, 8, 16]) await compare(op, batch);
}
await peer.close();
await engine.close();

/** Checks that both compute the same scores, as otherwise the times are not comparable. */
async function checkSameScores(): Promise<void> {
  const { images, count } = detector.selfTest;
  const { score: scores } = (await engine.run(scorer, images, 'none')).outputs;
  const answer = await peer.ask({
    op: 'values',
    batch: count,
    image: Buffer.from(images).toString('base64'),
  });
  for (const [index, theirs] of (answer.scores as number[]).entries()) {
    const ours = scores[index] as number;
    if (Math.abs(ours - theirs) / ours > 1e-3)
      throw new Error(`scores differ: ours ${ours}, PyTorch's ${theirs}`);
  }
  console.log(`Both give the same scores for ${count} images.`);
}

/**
 * Measures both in turns. A turn is a pause in which the other's threads go to sleep, one run to warm the caches, and
 * the measured runs.
 */
async function compare(op: 'score' | 'gradient', batch: number): Promise<void> {
  const images = Uint8Array.from({ length: batch * side * side * 3 }, (_, at) => (at * 7919) % 256);
  const map = op === 'score' ? 'none' : 'gradient';
  const ours: number[] = [];
  const theirs: number[] = [];
  for (let round = 0; round < rounds; round++) {
    await wait(pauseMs);
    const own: number[] = [];
    for (let run = 0; run <= runs; run++) {
      const began = performance.now();
      await engine.run(scorer, images, map);
      own.push(performance.now() - began);
    }
    await wait(pauseMs);
    const { ms } = (await peer.ask({ op, batch, repeats: runs + 1 })) as { ms: number[] };
    ours.push(median(own.slice(1)) / batch);
    theirs.push(median(ms.slice(1)) / batch);
  }
  const ratios = ours.map((value, round) => value / (theirs[round] as number));
  const name = `${op === 'score' ? 'score' : 'score and gradient'}, batch ${batch}`;
  console.log(
    `${name.padEnd(28)} mkd ${median(ours).toFixed(1).padStart(7)}   PyTorch ${median(theirs).toFixed(1).padStart(7)}   ratio ${median(ratios).toFixed(2)}   fastest ${Math.min(...ours).toFixed(1)} / ${Math.min(...theirs).toFixed(1)}`,
  );
}

function median(values: readonly number[]): number {
  return [...values].sort((a, b) => a - b)[Math.floor(values.length / 2)] as number;
}
