/** Runs small graphs in tests, on one device per test file. */
import { encodeModel, Graph, type Value } from '../../src/onnx/index.js';
import { Device, float32, float32Data, type Tensor } from '../../src/runtime/index.js';
import { testProvider } from './provider.js';

export interface GraphInputs {
  readonly [name: string]: { readonly dims: readonly number[]; readonly data: readonly number[] };
}

/** Builds a graph over float32 inputs and runs it. @returns its outputs by name. */
export async function runGraph(
  device: Device,
  inputs: GraphInputs,
  build: (graph: Graph, values: Record<string, Value>) => Record<string, Value>,
): Promise<Record<string, Float32Array>> {
  const graph = new Graph('test');
  const values = Object.fromEntries(
    Object.entries(inputs).map(([name, { dims }]) => [name, graph.input(name, 'float32', dims)]),
  );
  const names = Object.entries(build(graph, values)).map(([name, value]) => {
    graph.output(value, name);
    return name;
  });
  const session = await device.session(encodeModel(graph));
  const feeds: Record<string, Tensor> = {};
  for (const [name, { dims, data }] of Object.entries(inputs)) feeds[name] = float32(dims, data);
  const { outputs } = await session.run(feeds);
  await session.close();
  return Object.fromEntries(names.map((name) => [name, float32Data(outputs, name)]));
}

/** Opens a device with one thread; small graphs do not benefit from more. */
export function openTestDevice(): Promise<Device> {
  return Device.open({ provider: testProvider, threads: 1 });
}
