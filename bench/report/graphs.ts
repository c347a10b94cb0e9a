/** Times of one image in the graph: ours in process, and the exported graph in other runtimes. */
import { writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import type { LoadedDetector } from '../../src/detector/index.js';
import { type ExportedInput, type ExportedOutput, onnxFile } from '../../src/export/index.js';
import { sideOf } from '../../src/imaging/index.js';
import type { MapKind, ScoringEngine } from '../../src/scoring/index.js';
import type { Peer } from '../peer.js';
import type { Cells, Side } from './cells.js';

export interface GraphPeers {
  readonly exported: Peer;
  readonly torch: Peer;
}

/** What is asked of a graph: a score, its map, or its gradient with respect to the image. */
export type Asked = 'score' | 'score and map' | 'score and gradient';

const ways: Readonly<Record<Asked, { readonly map: MapKind; readonly outputs: readonly ExportedOutput[] }>> =
  {
    score: { map: 'none', outputs: ['score'] },
    'score and map': { map: 'discrepancy', outputs: ['score', 'map'] },
    'score and gradient': { map: 'gradient', outputs: ['score', 'gradient'] },
  };

export interface GraphRow {
  readonly detector: LoadedDetector;
  /** What the row's name calls it. */
  readonly called: string;
  readonly asked: Asked;
  readonly batch: number;
  /** Runs of a turn; sides that take long make fewer. */
  readonly runs: number;
  readonly sides: readonly GraphSide[];
}

export type GraphSide =
  | 'onnxruntime (Python)'
  | 'OpenVINO float32'
  | 'OpenVINO bfloat16'
  | 'OpenVINO int8'
  | 'PyTorch eager'
  | 'PyTorch compiled';

export class GraphTimes {
  readonly #engine: ScoringEngine;
  readonly #peers: GraphPeers;
  readonly #folder: string;
  #files = 0;

  /** @param folder for the exported graphs. */
  constructor(engine: ScoringEngine, peers: GraphPeers, folder: string) {
    this.#engine = engine;
    this.#peers = peers;
    this.#folder = folder;
  }

  async row(cells: Cells, { detector, called, asked, batch, runs, sides }: GraphRow): Promise<void> {
    const { map, outputs } = ways[asked];
    const file = await this.#export(detector, 'uint8', outputs);
    // PyTorch differentiates the score itself, with respect to planes.
    const gradient = asked === 'score and gradient';
    const planes = gradient ? await this.#export(detector, 'float32', ['score']) : file;
    const side = sideOf(detector.shape.inputSize);
    const perImage = (milliseconds: number): number => milliseconds / runs / batch;
    const way = (of: GraphSide): Side => {
      const request = { batch, runs, size: side };
      const ask =
        of === 'PyTorch eager' || of === 'PyTorch compiled'
          ? () => {
              const compiled = of === 'PyTorch compiled';
              return this.#peers.torch.ask({ ...request, network: planes, compiled, gradient });
            }
          : () => this.#peers.exported.ask({ ...request, runtime: runtimes[of], model: file });
      return async () => perImage(1000 * Number((await ask()).seconds));
    };
    await cells.measure(`${called}, ${asked}, batch ${batch}`, 'ms per image', {
      mkd: async () => perImage(await this.#ours(detector, map, batch * side ** 2 * 3, runs)),
      ...Object.fromEntries(sides.map((side) => [side, way(side)])),
    });
  }

  /** Compares a score with networks of others at their size, with random weights. */
  async networks(
    cells: Cells,
    detector: LoadedDetector,
    others: Readonly<Record<string, { readonly network: string; readonly size: number }>>,
    runs: number,
  ): Promise<void> {
    const side = sideOf(detector.shape.inputSize);
    await cells.measure('the default detector’s score and networks of others in PyTorch', 'ms per image', {
      mkd: async () => (await this.#ours(detector, 'none', side ** 2 * 3, runs)) / runs,
      ...Object.fromEntries(
        Object.entries(others).map(([name, other]) => [
          name,
          async () => {
            // They take ten times as long and more.
            const few = Math.ceil(runs / 8);
            const request = { ...other, batch: 1, runs: few, compiled: false, gradient: false };
            return (1000 * Number((await this.#peers.torch.ask(request)).seconds)) / few;
          },
        ]),
      ),
    });
  }

  async #ours(detector: LoadedDetector, map: MapKind, bytes: number, runs: number): Promise<number> {
    const pixels = new Uint8Array(bytes).fill(127);
    await this.#engine.run(detector, pixels, map);
    const began = performance.now();
    for (let run = 0; run < runs; run++) await this.#engine.run(detector, pixels, map);
    return performance.now() - began;
  }

  async #export(
    detector: LoadedDetector,
    input: ExportedInput,
    outputs: readonly ExportedOutput[],
  ): Promise<string> {
    const path = join(this.#folder, `graph-${++this.#files}.onnx`);
    await writeFile(path, await onnxFile(detector, { input, outputs }));
    return path;
  }
}

const runtimes = {
  'onnxruntime (Python)': 'onnxruntime',
  'OpenVINO float32': 'openvino-f32',
  'OpenVINO bfloat16': 'openvino-bf16',
  'OpenVINO int8': 'openvino-int8',
} as const;
