/** float16 for graphics cards: the same verdicts, kernels for every operator, and a refusal where it would be slower. */
import { readFile } from 'node:fs/promises';
import { join } from 'node:path';
import t from 'tap';
import { drawSample } from '../../src/datasets/index.js';
import { embeddedExperts, modelsFolder, readDetector } from '../../src/detector/index.js';
import { buildServingModel } from '../../src/detector/serving-model.js';
import { sideOf } from '../../src/imaging/index.js';
import { addExpert, loadExpert } from '../../src/networks/index.js';
import { Graph } from '../../src/onnx/index.js';
import { Device, float32Data, type Precision, uint8 } from '../../src/runtime/index.js';
import { testProvider } from '../support/provider.js';

interface Kernel {
  readonly types: Readonly<Record<string, readonly string[]>>;
}

t.test('every operator between two conversions has a float16 kernel on CUDA', async (t) => {
  const file = new URL('../../../test/onnx/cuda-kernels.json', import.meta.url);
  const { kernels } = JSON.parse(await readFile(file, 'utf8')) as { kernels: Record<string, Kernel[]> };
  for (const card of Object.values(embeddedExperts)) {
    const graph = new Graph('half');
    const image = graph.input('image', 'float32', ['N', 3, 64, 64]);
    for (const layer of addExpert(graph, image, await loadExpert(card), 'float16').values()) {
      t.equal(layer.type, 'float32');
    }
    const halves = graph.nodes.filter(({ outputs: [output] }) => output?.type === 'float16');
    const operators = new Set(halves.map(({ operator }) => operator));
    t.ok(operators.has('Conv'));
    for (const operator of operators) {
      const types = kernels[operator]?.flatMap(({ types }) => Object.values(types).flat()) ?? [];
      t.ok(types.includes('float16'), operator);
    }
    const full = graph.nodes.filter(
      ({ operator, outputs: [output] }) => operator === 'Conv' && output?.type !== 'float16',
    );
    t.equal(full.length, 0, 'no convolution stays float32');
    // What only passes a value on is not converted in between.
    t.equal(
      halves.filter(({ operator }) => operator === 'Cast').length,
      1,
      'the image is converted, and nothing else',
    );
  }
});

t.test('scores are the same in float16', async (t) => {
  const { shape, feeds } = await readDetector(join(modelsFolder, 'sample'));
  const side = sideOf(shape.inputSize);
  const parts = [0, 1, 2].map(
    (index) =>
      drawSample({ seed: 4, index, size: side, ...(index === 2 ? { defect: 'scratch' } : {}) }).pixels,
  );
  const image = uint8([parts.length, side, side, 3], Buffer.concat(parts));
  // The CPU computes float16 by way of float32, so this needs no card.
  const device = await Device.open({ provider: testProvider });
  t.teardown(() => device.close());
  const scoresIn = async (precision: Precision): Promise<Float32Array> => {
    const spec = { ...shape, map: 'none', bound: feeds } as const;
    const session = await device.session(await buildServingModel(spec, { provider: 'cuda', precision }));
    return float32Data((await session.run({ image })).outputs, 'score');
  };
  const [half, full] = [await scoresIn('float16'), await scoresIn('float32')];
  t.equal(full.length, parts.length);
  for (const [at, score] of full.entries()) {
    const apart = Math.abs(score - (half[at] as number));
    t.ok(apart > 0 && apart < 1e-2 * Math.max(1, Math.abs(score)), `${score} and ${half[at]}`);
  }
});

t.test('processors refuse it', async (t) => {
  await t.rejects(Device.open({ provider: 'cpu', precision: 'float16' }), {
    message: 'float16 needs CUDA; processors would convert every number twice: use float32',
  });
});
