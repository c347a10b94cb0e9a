/** Measures the size of an expert's activations, for rescaling them to unit size. */

import { addImageInput, addVgg16, type Vgg16Expert } from '../networks/index.js';
import { encodeModel, Graph } from '../onnx/index.js';
import { type Device, float32Data, uint8 } from '../runtime/index.js';

/**
 * Measures the root mean square of every convolution's output after ReLU.
 * @param expert its card must have an activationRms of 1 for every convolution.
 * @param images uint8 [N, H, W, 3] of the reference images, row-major.
 */
export async function measureActivationRms(
  device: Device,
  expert: Vgg16Expert,
  images: { readonly pixels: Uint8Array; readonly count: number; readonly size: number },
): Promise<Record<string, number>> {
  const graph = new Graph('activation-rms');
  const image = addImageInput(graph, [images.size, images.size]);
  addVgg16(graph, image, expert, (name, convolved) => {
    const activation = graph.op.Relu(convolved);
    // First over positions, then over images and channels: summing millions of float32 at once loses 1e-3 on the CPU.
    const ofPlanes = graph.op.ReduceMean(graph.op.Mul(activation, activation), [2, 3], { keepdims: false });
    graph.output(graph.op.Sqrt(graph.op.ReduceMean(ofPlanes, [0, 1], { keepdims: false })), name);
  });
  const session = await device.session(encodeModel(graph));
  try {
    const { outputs } = await session.run({
      image: uint8([images.count, images.size, images.size, 3], images.pixels),
    });
    return Object.fromEntries(
      Object.keys(outputs).map((name) => [
        name,
        Number((float32Data(outputs, name)[0] as number).toPrecision(6)),
      ]),
    );
  } finally {
    await session.close();
  }
}
