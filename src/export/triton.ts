/** A detector as a model in the repository of a Triton Inference Server. */
import { writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import type { LoadedDetector } from '../detector/index.js';
import { makeFolder } from '../files/folders.js';
import { sidesOf } from '../imaging/index.js';
import { mapThreshold } from '../scoring/index.js';
import { methodOf, onnxFile } from './onnx-file.js';

/** Images in one batch of Triton. */
const maxBatch = 32;

/** How long Triton waits for a fuller batch, microseconds. */
const delayUs = 2000;

/** Writes `NAME/config.pbtxt` and `NAME/1/model.onnx`, which gives score and map. @returns the model's folder. */
export async function writeTritonModel(
  repository: string,
  name: string,
  detector: LoadedDetector,
): Promise<string> {
  const folder = join(repository, name);
  await makeFolder(join(folder, '1'));
  const model = await onnxFile(detector, { input: 'uint8', outputs: ['score', 'map'] });
  await writeFile(join(folder, '1', 'model.onnx'), model);
  await writeFile(join(folder, 'config.pbtxt'), configOf(name, detector));
  return folder;
}

/** The model's configuration, as text of protobuf: with batching, and a warm-up so that no request waits for the first run. */
function configOf(name: string, detector: LoadedDetector): string {
  const { manifest, shape, version } = detector;
  const { width, height } = sidesOf(shape.inputSize);
  const { threshold, falseAlarmRate } = manifest.calibration;
  const parameters = {
    version,
    threshold,
    map_threshold: mapThreshold(detector, methodOf(detector)),
    false_alarm_rate: falseAlarmRate,
  };
  const warmUps = [1, maxBatch].map(
    (batch) => `  {
    name: "batch of ${batch}"
    batch_size: ${batch}
    inputs { key: "image" value: { data_type: TYPE_UINT8 dims: [ ${height}, ${width}, 3 ] zero_data: true } }
  }`,
  );
  return `name: "${name}"
platform: "onnxruntime_onnx"
max_batch_size: ${maxBatch}
input [
  { name: "image" data_type: TYPE_UINT8 dims: [ ${height}, ${width}, 3 ] }
]
output [
  { name: "score" data_type: TYPE_FP32 dims: [ 1 ] reshape: { shape: [ ] } },
  { name: "map" data_type: TYPE_FP32 dims: [ ${height}, ${width} ] }
]
dynamic_batching { max_queue_delay_microseconds: ${delayUs} }
model_warmup [
${warmUps.join(',\n')}
]
${Object.entries(parameters)
  .map(([key, value]) => `parameters { key: "${key}" value: { string_value: "${value}" } }`)
  .join('\n')}
`;
}
