/** Data sets on disk, and the procedural sample product. */
export {
  DatasetError,
  describeSource,
  foldersIn,
  type TestImage,
  type TestSource,
  testImages,
  trainingImages,
} from './dataset.js';
export { isImageName, leftOutHint, leftOutMessage, listImages, wantedFiles } from './image-files.js';
export { drawSample, type SampleDefect, type SampleImage, sampleDefects } from './sample-product.js';
export { type SampleOptions, writeSample } from './write-sample.js';
