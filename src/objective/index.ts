/** Discrepancies between expert and cloner, as graphs. */
export { addObjective, addWeightedSum, type LayerActivations, type Objective } from './discrepancy.js';
export {
  addCellResidual,
  addLocalResidual,
  addResidual,
  addUnexplained,
  addWindowEnergy,
  highestWindows,
  type LocalTensors,
  smallestResidual,
} from './residual.js';
