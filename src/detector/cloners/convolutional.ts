/** The convolutional cloner (MKD, section 4), in serving graphs. */

import {
  addCloner,
  type CriticalLayer,
  criticalLayer,
  foldBatchNormalization,
  type Layout,
  runningStatistics,
  tensorNames,
  trainableParameters,
} from '../../networks/index.js';
import { addObjective } from '../../objective/index.js';
import type { Graph, Value } from '../../onnx/index.js';
import { float32, type Tensors } from '../../runtime/index.js';
import type { TensorMap } from '../../weights/safetensors.js';
import { DetectorError } from '../detector-error.js';
import type { ScoreShape, ScoreTerms, ServedCloner } from './served-cloner.js';

const { clonerInput, inputs } = tensorNames;

export interface ConvolutionalCloner {
  readonly kind: 'convolutional';
  readonly layout: Layout;
}

export function servedConvolutional({ layout }: ConvolutionalCloner): ServedCloner {
  return {
    addScore: (graph, image, pools, shape) => addScore(graph, addCloner(graph, image, layout), pools, shape),
    depths: ({ scoringLayers }, layers) => scoringLayers.map((layer) => layers.indexOf(layer)),
    feeds: (_terms, tensors) => {
      checkCloner(layout, tensors);
      return clonerFeeds(layout, tensors);
    },
    hasMap: false,
  };
}

function addScore(
  graph: Graph,
  clonerPools: ReadonlyMap<CriticalLayer, Value>,
  expertPools: ReadonlyMap<CriticalLayer, Value>,
  { scoringLayers }: ScoreShape,
): ScoreTerms {
  const layers = scoringLayers.map((name) => ({
    expert: criticalLayer(expertPools, name),
    cloner: criticalLayer(clonerPools, name),
  }));
  const weights = (name: string): Value => graph.input(name, 'float32', [layers.length]);
  const objective = addObjective(
    graph,
    layers,
    weights(inputs.valueWeights),
    weights(inputs.directionWeights),
  );
  const score = graph.op.Sub(objective.score, graph.input(inputs.scoreOffset, 'float32', []));
  return { ...objective, score };
}

/** Returns the inputs of a trained cloner, with batch normalization folded in. */
export function clonerFeeds(layout: Layout, cloner: TensorMap): Tensors {
  const folded = foldBatchNormalization(layout, cloner);
  return Object.fromEntries(folded.map(({ name, shape, data }) => [clonerInput(name), float32(shape, data)]));
}

function checkCloner(layout: Layout, cloner: TensorMap): void {
  for (const { name, shape } of [...trainableParameters(layout), ...runningStatistics(layout)]) {
    const tensor = cloner.get(name);
    if (tensor?.shape.join() === shape.join()) continue;
    const found = tensor ? `[${tensor.shape.join(', ')}]` : 'missing';
    throw new DetectorError(`the cloner's ${name} is ${found}; its layout requires [${shape.join(', ')}]`);
  }
}
