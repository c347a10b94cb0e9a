/** A detector as a model of the Open Inference Protocol: its inputs and outputs, and how a request becomes scores. */
import { setImmediate as nextTurn } from 'node:timers/promises';
import type { LoadedDetector, LocalizationMethod } from '../../detector/index.js';
import type { LocalizationMap } from '../../imaging/index.js';
import { methodFor } from '../../scoring/index.js';
import type { StoredResult } from '../result-store.js';
import type { Upload } from '../scoring-service.js';
import { badRequest } from './inputs.js';
import type { InferRequest, InputTensor } from './schemas.js';
import {
  bytesElements,
  type OutputData,
  uint8Elements,
  type WireRequest,
  type WrittenTensor,
  writeOutput,
} from './tensors.js';

/** The `platform` in the metadata. */
export const platform = 'mkd_onnxruntime';

interface TensorMetadata {
  readonly name: string;
  readonly datatype: string;
  /** -1 for a dimension that varies. */
  readonly shape: number[];
}

/** One input: encoded images as BYTES [n], or pixels as UINT8 [n, height, width, 3]. */
export const modelInputs: TensorMetadata[] = [{ name: 'image', datatype: 'BYTES', shape: [-1] }];

/** An output, computed from the results of all images of a request. */
interface Output {
  readonly metadata: (layers: number) => Omit<TensorMetadata, 'name'>;
  readonly of: (results: readonly StoredResult[]) => { readonly shape: number[]; readonly data: OutputData };
}

const numbers = (pick: (stored: StoredResult) => number): Output => ({
  metadata: () => ({ datatype: 'FP32', shape: [-1] }),
  of: (results) => ({
    shape: [results.length],
    data: { datatype: 'FP32', data: Float32Array.from(results, pick) },
  }),
});

const byLayer = (pick: (layer: StoredResult['result']['layers'][number]) => number): Output => ({
  metadata: (layers) => ({ datatype: 'FP32', shape: [-1, layers] }),
  of: (results) => ({
    shape: [results.length, results[0]?.result.layers.length ?? 0],
    data: {
      datatype: 'FP32',
      data: Float32Array.from(results.flatMap(({ result }) => result.layers.map(pick))),
    },
  }),
});

const outputs: Readonly<Record<string, Output>> = {
  score: numbers(({ result }) => result.score),
  threshold: numbers(({ result }) => result.threshold),
  p_value: numbers(({ result }) => result.pValue),
  anomalous: {
    metadata: () => ({ datatype: 'BOOL', shape: [-1] }),
    of: (results) => ({
      shape: [results.length],
      data: { datatype: 'BOOL', data: results.map(({ result }) => result.verdict === 'anomalous') },
    }),
  },
  direction: byLayer(({ direction }) => direction),
  value: byLayer(({ value }) => value),
  result_id: {
    metadata: () => ({ datatype: 'BYTES', shape: [-1] }),
    of: (results) => ({
      shape: [results.length],
      data: { datatype: 'BYTES', data: results.map(({ result }) => result.id) },
    }),
  },
  map: {
    metadata: () => ({ datatype: 'FP32', shape: [-1, -1, -1] }),
    of: (results) => {
      const maps = results.map(mapOf);
      const [{ width, height }] = maps as [LocalizationMap];
      if (maps.some((map) => map.width !== width || map.height !== height)) {
        throw badRequest('the maps of these images differ in size; send each image in its own request');
      }
      const data = new Float32Array(maps.length * width * height);
      for (const [index, { values }] of maps.entries()) data.set(values, index * width * height);
      return { shape: [maps.length, height, width], data: { datatype: 'FP32', data } };
    },
  },
};

function mapOf({ maps, localization }: StoredResult): LocalizationMap {
  const map = maps.get(localization);
  if (!map) throw new Error('a map was requested and not computed');
  return map;
}

/** The only output that costs a gradient or a larger response: it is returned only on request. */
const onDemandOutput = 'map';

export function modelOutputs(detector: LoadedDetector): TensorMetadata[] {
  const layers = detector.manifest.scoringLayers.length;
  return Object.entries(outputs).map(([name, { metadata }]) => ({ name, ...metadata(layers) }));
}

/** Returns the images of a request. @throws ProblemError if its elements do not fit its shape. */
export async function imagesOf({ input, elements }: WireRequest): Promise<Upload[]> {
  if (input.datatype === 'UINT8') return pixelsOf(input, uint8Elements(input, elements));
  return bytesElements(input, elements).map((image, index) => ({
    name: `image ${index}`,
    image: ownCopy(image),
  }));
}

async function pixelsOf({ shape }: InputTensor, pixels: Uint8Array): Promise<Upload[]> {
  const [count = 0, height = 0, width = 0] = shape;
  const size = height * width * 3;
  const uploads: Upload[] = [];
  for (let index = 0; index < count; index++) {
    const own = ownCopy(pixels.subarray(index * size, (index + 1) * size));
    uploads.push({ name: `image ${index}`, image: { pixels: own, width, height } });
    await nextTurn();
  }
  return uploads;
}

/** Returns a copy, so that a stored result does not keep the whole request in memory. */
function ownCopy(bytes: Uint8Array): Uint8Array {
  return Uint8Array.from(bytes);
}

/** Returns the names of the requested outputs, each with whether it is wanted as bytes. @throws ProblemError */
export function wantedOutputs({ message }: WireRequest): ReadonlyMap<string, boolean> {
  const allAsBytes = message.parameters?.binary_data_output === true;
  const given = Object.keys(outputs);
  const usual = given.filter((name) => name !== onDemandOutput);
  const asked: NonNullable<InferRequest['outputs']> = message.outputs ?? usual.map((name) => ({ name }));
  const wanted = new Map<string, boolean>();
  for (const { name, parameters } of asked) {
    if (!given.includes(name)) {
      throw badRequest(`there is no output '${name}'; available: ${given.join(', ')}`);
    }
    wanted.set(name, (parameters?.binary_data ?? allAsBytes) === true);
  }
  return wanted;
}

/** Returns the map that a request needs, if any. */
export function mapOfRequest(
  wanted: ReadonlyMap<string, boolean>,
  detector: LoadedDetector,
): LocalizationMethod | undefined {
  return wanted.has(onDemandOutput) ? methodFor(detector) : undefined;
}

/** Encodes the outputs for the response. */
export function writeOutputs(
  results: readonly StoredResult[],
  wanted: ReadonlyMap<string, boolean>,
): { readonly tensors: WrittenTensor[]; readonly binary: Uint8Array[] } {
  const tensors: WrittenTensor[] = [];
  const binary: Uint8Array[] = [];
  for (const [name, asBytes] of wanted) {
    const { shape, data } = (outputs[name] as Output).of(results);
    const { tensor, bytes } = writeOutput(name, shape, data, asBytes);
    tensors.push(tensor);
    if (bytes) binary.push(bytes);
  }
  return { tensors, binary };
}
