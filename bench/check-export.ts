/**
 * `npm run check:export`: the embedded detectors as ONNX files, in Python's onnxruntime, in OpenVINO and in onnxruntime-web:
 * the largest differences of scores and maps to ours, on 50 parts. Fails above 1e-4 (scores, relative) and 1e-3 (maps, of the largest
 * value).
 */
import { spawnSync } from 'node:child_process';
import { existsSync } from 'node:fs';
import { mkdir, mkdtemp, readFile, rm, writeFile } from 'node:fs/promises';
import { createRequire } from 'node:module';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { pathToFileURL } from 'node:url';
import { drawSample, sampleDefects } from '../src/datasets/index.js';
import { modelsFolder, readDetector } from '../src/detector/index.js';
import { onnxFile } from '../src/export/index.js';
import { decodeImage, encodePng, sidesOf, tilePixels } from '../src/imaging/index.js';
import { ScoringEngine } from '../src/scoring/index.js';
import { peerPython, root } from './peer.js';

const count = 50;
const most = { score: 1e-4, map: 1e-3 };
const webVersion = '1.30.0';

/** Scores of all images, and their maps one after another. */
interface Results {
  readonly scores: Float32Array;
  readonly maps: Float32Array;
}

/** What is used of onnxruntime-web, which is no dependency. */
interface WebRuntime {
  readonly Tensor: new (type: string, data: Uint8Array, dims: readonly number[]) => object;
  readonly InferenceSession: {
    create(model: Uint8Array): Promise<{
      run(feeds: object): Promise<Record<'score' | 'map', { readonly data: Float32Array }>>;
    }>;
  };
}

function parsed(bytes: Float32Array): Results {
  return { scores: bytes.subarray(0, count), maps: bytes.subarray(count) };
}

function inPython(runtime: string, folder: string): Promise<Results> {
  const out = join(folder, `${runtime}.bin`);
  const script = join(root, 'bench/peers/exported.py');
  const args = [script, runtime, join(folder, 'model.onnx'), join(folder, 'images.npy'), out];
  const { status } = spawnSync(peerPython('exported.txt'), args, { stdio: 'inherit' });
  if (status !== 0) throw new Error(`${runtime} failed`);
  return readFile(out).then((bytes) => parsed(new Float32Array(Uint8Array.from(bytes).buffer)));
}

async function inWeb(model: Uint8Array, images: Uint8Array, dims: readonly number[]): Promise<Results> {
  const folder = join(root, 'bench/.peers/web');
  if (!existsSync(join(folder, 'node_modules/onnxruntime-web'))) {
    await mkdir(folder, { recursive: true });
    await writeFile(join(folder, 'package.json'), '{"private": true}');
    spawnSync('npm', ['install', '--silent', `onnxruntime-web@${webVersion}`], {
      cwd: folder,
      stdio: 'inherit',
    });
  }
  const path = createRequire(join(folder, 'package.json')).resolve('onnxruntime-web');
  const { default: runtime } = (await import(pathToFileURL(path).href)) as { default: WebRuntime };
  const session = await runtime.InferenceSession.create(model);
  const [height = 0, width = 0] = dims;
  const bytes = height * width * 3;
  const results: Results = {
    scores: new Float32Array(count),
    maps: new Float32Array(count * height * width),
  };
  for (let index = 0; index < count; index++) {
    const pixels = images.slice(index * bytes, (index + 1) * bytes);
    const { score, map } = await session.run({ image: new runtime.Tensor('uint8', pixels, [1, ...dims]) });
    results.scores.set(score.data, index);
    results.maps.set(map.data, index * height * width);
  }
  return results;
}

/** A .npy file of bytes. */
function npy(data: Uint8Array, shape: readonly number[]): Buffer {
  const text = `{'descr': '|u1', 'fortran_order': False, 'shape': (${shape.join(', ')}), }`;
  const length = Math.ceil((text.length + 11) / 64) * 64 - 10;
  const head = Buffer.alloc(10);
  head.write('\x93NUMPY\x01\x00', 'latin1');
  head.writeUInt16LE(length, 8);
  return Buffer.concat([head, Buffer.from(`${text.padEnd(length - 1)}\n`), data]);
}

function largest(a: Float32Array, b: Float32Array, scale: (at: number) => number): number {
  return a.reduce((most, value, at) => Math.max(most, Math.abs(value - (b[at] as number)) / scale(at)), 0);
}

let failed = false;
console.log(['detector', 'runtime', 'scores', 'maps'].join('\t'));
for (const name of ['sample', 'sample-paper']) {
  const folder = await mkdtemp(join(tmpdir(), 'mkd-export-'));
  const detector = await readDetector(join(modelsFolder, name));
  const { width, height } = sidesOf(detector.shape.inputSize);
  const parts = await Promise.all(
    Array.from({ length: count }, async (_, index) => {
      const defect = index % 2 ? sampleDefects[index % sampleDefects.length] : undefined;
      const part = drawSample({ seed: 31, index, ...(defect ? { defect } : {}) });
      const image = await decodeImage(
        await encodePng(part.pixels, part.width, part.height, 3),
        detector.input,
      );
      return tilePixels(image, 0);
    }),
  );
  const images = Buffer.concat(parts);
  const model = await onnxFile(detector, { input: 'uint8', outputs: ['score', 'map'] });
  await writeFile(join(folder, 'model.onnx'), model);
  await writeFile(join(folder, 'images.npy'), npy(images, [count, height, width, 3]));

  const engine = await ScoringEngine.open({ provider: 'cpu' });
  const own = { scores: new Float32Array(count), maps: new Float32Array(count * height * width) };
  for (const [index, pixels] of parts.entries()) {
    const { outputs } = await engine.run(detector, pixels, detector.manifest.localization);
    own.scores.set(outputs.score, index);
    own.maps.set(outputs.map as Float32Array, index * height * width);
  }
  await engine.close();

  const top = own.maps.reduce((most, value) => Math.max(most, Math.abs(value)), 0);
  for (const [runtime, found] of [
    ['onnxruntime (Python)', await inPython('onnxruntime', folder)],
    ['OpenVINO', await inPython('openvino', folder)],
    ['onnxruntime-web', await inWeb(model, images, [height, width, 3])],
  ] as const) {
    const scores = largest(own.scores, found.scores, (at) => Math.max(1, Math.abs(own.scores[at] as number)));
    const maps = largest(own.maps, found.maps, () => top);
    failed ||= !(scores <= most.score && maps <= most.map);
    console.log([name, runtime, scores.toExponential(1), maps.toExponential(1)].join('\t'));
  }
  await rm(folder, { recursive: true });
}
process.exitCode = failed ? 1 : 0;
