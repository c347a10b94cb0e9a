/** How long the arithmetic of the default expert would take if nothing else took time. */
import { embeddedExperts } from '../../src/detector/index.js';
import { cores } from '../../src/files/cores.js';
import { addExpert, addImageInput, loadExpert } from '../../src/networks/index.js';
import { encodeModel, Graph, knownShape } from '../../src/onnx/index.js';
import { Device, float32 } from '../../src/runtime/index.js';

export interface Limit {
  readonly multiplyAdds: number;
  readonly gemmPerSecond: number;
  readonly milliseconds: number;
}

/** Returns how long the expert's multiply-adds take at the rate of a large matrix product. */
export async function arithmeticLimit(side: number): Promise<Limit> {
  const graph = new Graph('count');
  addExpert(graph, addImageInput(graph, [side, side], 1), await loadExpert(embeddedExperts.efficientNet));
  const multiplyAdds = graph.nodes
    .filter(({ operator }) => operator === 'Conv')
    .reduce((sum, { inputs: [, kernel], outputs: [result] }) => {
      if (!kernel || !result) return sum;
      const product = (sizes: readonly number[]): number => sizes.reduce((all, size) => all * size, 1);
      return sum + product(knownShape(result, 'Conv')) * product(knownShape(kernel, 'Conv').slice(1));
    }, 0);
  const size = 1024;
  const gemm = new Graph('gemm');
  const a = gemm.input('a', 'float32', [size, size]);
  gemm.output(gemm.op.MatMul(a, gemm.input('b', 'float32', [size, size])), 'c');
  const device = await Device.open({ provider: 'cpu', threads: cores(), spinning: true });
  const session = await device.session(encodeModel(gemm));
  const matrix = float32([size, size], new Float32Array(size ** 2).fill(0.5));
  const seconds: number[] = [];
  for (let run = 0; run < 12; run++) seconds.push((await session.run({ a: matrix, b: matrix })).seconds);
  await device.close();
  const gemmPerSecond = size ** 3 / Math.min(...seconds);
  return { multiplyAdds, gemmPerSecond, milliseconds: (1000 * multiplyAdds) / gemmPerSecond };
}
