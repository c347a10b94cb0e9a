/**
 * `npm run parity -- DATASET`: compares the first steps of `mkd distill --recipe paper` with PyTorch, from the same
 * initial weights with the same batches. Exits with 1 if a loss differs by more than 1e-3 relative. `--provider cuda`
 * runs our steps on a GPU; PyTorch's stay on the CPU.
 */
import { spawnSync } from 'node:child_process';
import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { trainingImages } from '../src/datasets/index.js';
import { embeddedExperts, modelsFolder } from '../src/detector/index.js';
import { TrainingSet } from '../src/distillation/images/training-set.js';
import { paperRecipe, planFor } from '../src/distillation/recipe.js';
import { initialState, Training } from '../src/distillation/training.js';
import { readExpertCard } from '../src/networks/index.js';
import { randomStream, shuffled } from '../src/random/random.js';
import { Device } from '../src/runtime/index.js';
import { writeSafetensors } from '../src/weights/safetensors.js';
import { peerPython, root } from './peer.js';
import { positionals, provider } from './provider.js';

const steps = 20;
const seed = 0;
const [dataset] = positionals;
if (!dataset) throw new Error('the data set is missing; run npm run parity -- DATASET');

const recipe = planFor(paperRecipe, await readExpertCard(embeddedExperts.vgg16));
const paths = await trainingImages(dataset);
const device = await Device.open({ provider });
const set = await TrainingSet.prepare(device, {
  paths,
  input: { inputSize: recipe.inputSize },
  layers: recipe.trainingLayers,
  expertCard: embeddedExperts.vgg16,
  memoryBytes: 2 * 2 ** 30,
});
const state = initialState(recipe.layout, randomStream(seed, 'cloner'));
const training = await Training.open(device, recipe, state);
const initial = writeSafetensors(training.cloner());

const batches: number[][] = [];
for (let epoch = 0; batches.length < steps; epoch++) {
  const order = shuffled(paths.length, randomStream(seed, `epoch ${epoch}`));
  for (let first = 0; first < order.length; first += recipe.batch)
    batches.push(order.slice(first, first + recipe.batch));
}
batches.length = steps;
const losses: number[] = [];
for (const batch of batches) {
  losses.push(await training.train(await set.batch(batch)));
  process.stderr.write(`\rstep ${losses.length} of ${steps}`);
}
process.stderr.write('\n');

const trace = await mkdtemp(join(tmpdir(), 'mkd-parity-'));
const pixels = Buffer.concat(await Promise.all(paths.map((_, index) => set.image(index))));
const shape = [paths.length, recipe.inputSize, recipe.inputSize, 3];
await writeFile(join(trace, 'initial.safetensors'), initial);
await writeFile(
  join(trace, 'images.safetensors'),
  writeSafetensors(new Map([['images', { type: 'uint8', shape, data: Uint8Array.from(pixels) }]])),
);
const { lambda, learningRate } = recipe;
const trainingLayers = recipe.trainingLayers.map(({ name }) => name);
await writeFile(
  join(trace, 'trace.json'),
  JSON.stringify({ lambda, trainingLayers, learningRate, batches, losses }),
);
await set.close();
await device.close();

const { status } = spawnSync(
  peerPython(),
  [
    join(root, 'bench', 'peers', 'pytorch_distill.py'),
    trace,
    '--expert',
    join(modelsFolder, 'vgg16-imagenet.fp16.safetensors'),
    '--expert-card',
    embeddedExperts.vgg16,
  ],
  { stdio: 'inherit' },
);
await rm(trace, { recursive: true, force: true });
process.exitCode = status ?? 1;
