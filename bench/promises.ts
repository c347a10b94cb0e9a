/**
 * `npm run promises -- DATASET [--group-by PART] [--splits 20] [--most 150]`: what thresholds promise, and what new good photos show.
 * All good photos of a data set are split at random, by part; seven tenths make a detector, and the others are scored by it.
 */
import { copyFile, mkdir, mkdtemp, readFile, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { basename, join } from 'node:path';
import { parseArgs } from 'node:util';
import { testImages, trainingImages } from '../src/datasets/index.js';
import { partsOf } from '../src/distillation/groups.js';
import { distinctFiles } from '../src/files/distinct-files.js';
import { distill, openDetector } from '../src/index.js';
import { randomStream, shuffled } from '../src/random/random.js';

const { values, positionals } = parseArgs({
  options: {
    'group-by': { type: 'string' },
    splits: { type: 'string', default: '20' },
    most: { type: 'string', default: '150' },
    size: { type: 'string' },
  },
  allowPositionals: true,
});
const [dataset] = positionals;
if (dataset === undefined) throw new Error('name a data set: an MVTec tree with train/good and test/good');
const [groupBy, splits, most] = [values['group-by'], Number(values.splits), Number(values.most)];
const learnedShare = 0.7;

const tested = await testImages({ root: dataset }).catch(() => []);
const good = tested.filter(({ anomalous }) => !anomalous).map(({ path }) => path);
const files = await distinctFiles([...(await trainingImages(dataset)), ...good]);
const paths = files.map(({ path }) => path);
const parts = (await partsOf(paths, groupBy)) ?? paths;
const names = [...new Set(parts)];

const promised: number[] = [];
const seen: number[] = [];
for (let split = 0; split < splits; split++) {
  const order = shuffled(names.length, randomStream(split, 'promises')).map((at) => names[at] as string);
  const learnedParts = new Set(order.slice(0, Math.round(learnedShare * names.length)));
  const all = shuffled(paths.length, randomStream(split, 'photos'));
  const learned = all.filter((at) => learnedParts.has(parts[at] as string)).slice(0, most);
  const rest = all.filter((at) => !learnedParts.has(parts[at] as string));
  const { rate, above } = await measure(learned, rest);
  promised.push(rate);
  seen.push(above);
}
const percent = (share: number): string => `${(100 * share).toFixed(1)} %`;
const mean = (list: readonly number[]): number => list.reduce((sum, value) => sum + value, 0) / list.length;
console.log(
  `${basename(dataset)}: ${paths.length} good photos${groupBy === undefined ? '' : ` of ${names.length} parts`}, ${splits} splits: promised ${percent(mean(promised))}, ` +
    `seen ${percent(mean(seen))} (${percent(Math.min(...seen))} to ${percent(Math.max(...seen))})`,
);

/** Makes a detector from some photos. @returns its promise, and the share of the others above its threshold. */
async function measure(
  learned: readonly number[],
  rest: readonly number[],
): Promise<{ readonly rate: number; readonly above: number }> {
  const folder = await mkdtemp(join(tmpdir(), 'mkd-promises-'));
  try {
    await mkdir(join(folder, 'photos'));
    const taken = new Set<string>();
    for (const at of learned) {
      const path = paths[at] as string;
      // Names in test and training may be the same.
      const name = taken.has(basename(path)) ? `test-${basename(path)}` : basename(path);
      taken.add(name);
      await copyFile(path, join(folder, 'photos', name));
    }
    const out = join(folder, 'detector');
    const listed = groupBy?.startsWith('^') ? groupBy.replace('^', '^(?:test-)?') : groupBy;
    await distill({
      dataset: join(folder, 'photos'),
      out,
      groupBy: listed,
      keepPhotos: false,
      ...(values.size === undefined ? {} : { inputSize: Number(values.size) }),
    });
    const detector = await openDetector(out);
    let above = 0;
    for (const at of rest) {
      const { verdict } = await detector.score(await readFile(paths[at] as string));
      if (verdict === 'anomalous') above++;
    }
    const rate = detector.manifest.calibration.falseAlarmRate;
    await detector.close();
    return { rate, above: above / rest.length };
  } finally {
    await rm(folder, { recursive: true });
  }
}
