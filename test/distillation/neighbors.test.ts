/** Neighbors: training images, and their discrepancies to images from other files. */
import t from 'tap';
import { trainingImages, writeSample } from '../../src/datasets/index.js';
import { embeddedExperts } from '../../src/detector/index.js';
import { Curriculum } from '../../src/distillation/images/curriculum.js';
import { TrainingSet } from '../../src/distillation/images/training-set.js';
import { findNeighbors } from '../../src/distillation/neighbors.js';
import { layersOf, readExpertCard } from '../../src/networks/index.js';
import { openTestDevice } from '../support/run-graph.js';

const inputSize = 32;
const settings = { batch: 4, epochs: 1, inputSize, augmentation: { minImages: 12, defects: 0 } };

t.test('an image and its augmented copies are not neighbors of each other', async (t) => {
  const folder = t.testdir();
  await writeSample(folder, { seed: 4, train: 8, good: 1, defective: 1 });
  const paths = await trainingImages(folder);
  const layers = layersOf(await readExpertCard(embeddedExperts.vgg16)).slice(-2);
  const device = await openTestDevice();
  t.teardown(() => device.close());
  const curriculum = new Curriculum(paths.length, settings, 0, 'none');
  const set = await TrainingSet.prepare(device, {
    paths,
    makers: curriculum.imageMakers,
    input: { inputSize, tiling: undefined },
    layers,
    expertCard: embeddedExperts.vgg16,
    memoryBytes: 2 ** 28,
  });
  t.teardown(() => set.close());

  const progress: number[] = [];
  const spec = { inputSize, layers };
  const found = await findNeighbors(device, set, curriculum, spec, curriculum.good, (done, total) =>
    progress.push(done / total),
  );
  t.ok(progress.length > 2 && progress.every((share, at) => share >= (progress[at - 1] ?? 0)));
  t.equal(progress.at(-1), 1);
  t.equal(found?.discrepancies.length, 2);
  for (const [at, { name, channels }] of layers.entries()) {
    t.same(found?.tensors.get(`neighbors.${name}`)?.shape, [channels, paths.length]);
    const discrepancies = found?.discrepancies[at];
    t.equal(discrepancies?.length, 12);
    const summaries = columnsOf(found?.tensors.get(`neighbors.${name}`)?.data as Float32Array, paths.length);
    for (const [place, image] of curriculum.good.entries()) {
      const discrepancy = discrepancies?.[place] as number;
      t.ok(discrepancy > 1e-5 && discrepancy <= 1, `${name}, image ${image}: ${discrepancy}`);
      const own = summaries[curriculum.trainingSquares.indexOf(image)];
      if (!own) continue;
      const others = summaries.filter((other) => other !== own);
      const nearest = Math.min(...others.map((other) => oneLessCosine(own, other)));
      t.ok(Math.abs(discrepancy - nearest) < 1e-5, `${name}, image ${image}: the nearest is ${nearest} away`);
    }
  }
});

function columnsOf(matrix: Float32Array, columns: number): Float32Array[] {
  return Array.from({ length: columns }, (_, column) => matrix.filter((_, at) => at % columns === column));
}

/** For vectors of unit length. */
function oneLessCosine(a: Float32Array, b: Float32Array): number {
  return 1 - a.reduce((sum, entry, at) => sum + entry * (b[at] as number), 0);
}

t.test('the file of a good image or augmented copy is found', async (t) => {
  const curriculum = new Curriculum(10, { ...settings, augmentation: { minImages: 30, defects: 0 } }, 0);
  for (const image of curriculum.trainingSquares) t.equal(curriculum.fileOf(image), image);
  const [variant] = curriculum.good.slice(curriculum.trainingSquares.length);
  t.equal(curriculum.fileOf(variant as number), curriculum.trainingSquares[0]);
});
