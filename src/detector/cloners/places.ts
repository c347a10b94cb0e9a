/** What maps of good images show at each place. */
import { tensorNames } from '../../networks/index.js';
import { float32, type Tensors } from '../../runtime/index.js';
import { floatTensor, type TensorMap } from '../../weights/safetensors.js';

const { inputs, storedNames } = tensorNames;

/** Returns mean and deviation of good images at each place of a map. @param map its stored name. */
export function placeFeeds(tensors: TensorMap, map: string): Tensors {
  const mean = floatTensor(tensors, storedNames.placeMean(map));
  const deviation = floatTensor(tensors, storedNames.placeDeviation(map));
  return {
    [inputs.mapMean]: float32(mean.shape, mean.data),
    [inputs.mapDeviation]: float32(deviation.shape, deviation.data),
  };
}
