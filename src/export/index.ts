/** Detectors for other runtimes. */
export {
  defaultExport,
  type ExportedInput,
  type ExportedOutput,
  type ExportOptions,
  exportedInputs,
  exportedOutputs,
  onnxFile,
} from './onnx-file.js';
export { writeTritonModel } from './triton.js';
