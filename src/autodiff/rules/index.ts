/** Every operator's answer to the question for its gradient. */
import type { Answer, GradientRule, Registry } from '../rule.js';
import { absGrad } from './abs.js';
import { addGrad } from './add.js';
import { castGrad } from './cast.js';
import { concatGrad } from './concat.js';
import { convGrad } from './conv.js';
import { divGrad } from './div.js';
import { expandGrad } from './expand.js';
import { hardSigmoidGrad } from './hard-sigmoid.js';
import { identityGrad } from './identity.js';
import { matMulGrad } from './mat-mul.js';
import { maxGrad, minGrad } from './max.js';
import { maxPoolGrad } from './max-pool.js';
import { mulGrad } from './mul.js';
import { negGrad } from './neg.js';
import { padGrad } from './pad.js';
import { reciprocalGrad } from './reciprocal.js';
import { reduceMaxGrad } from './reduce-max.js';
import { reduceMeanGrad } from './reduce-mean.js';
import { reduceSumGrad } from './reduce-sum.js';
import { reduceSumSquareGrad } from './reduce-sum-square.js';
import { guidedReluGrad, reluGrad } from './relu.js';
import { reshapeGrad } from './reshape.js';
import { resizeGrad } from './resize.js';
import { sigmoidGrad } from './sigmoid.js';
import { sliceGrad } from './slice.js';
import { sqrtGrad } from './sqrt.js';
import { subGrad } from './sub.js';
import { tanhGrad } from './tanh.js';
import { transposeGrad } from './transpose.js';

const rules: Readonly<Record<string, GradientRule>> = {
  Abs: absGrad,
  Add: addGrad,
  Cast: castGrad,
  Concat: concatGrad,
  Conv: convGrad,
  Div: divGrad,
  Expand: expandGrad,
  HardSigmoid: hardSigmoidGrad,
  Identity: identityGrad,
  MatMul: matMulGrad,
  Max: maxGrad,
  MaxPool: maxPoolGrad,
  Min: minGrad,
  Mul: mulGrad,
  Neg: negGrad,
  Pad: padGrad,
  Reciprocal: reciprocalGrad,
  ReduceMax: reduceMaxGrad,
  ReduceMean: reduceMeanGrad,
  ReduceSum: reduceSumGrad,
  ReduceSumSquare: reduceSumSquareGrad,
  Relu: reluGrad,
  Reshape: reshapeGrad,
  Resize: resizeGrad,
  Sigmoid: sigmoidGrad,
  Slice: sliceGrad,
  Sqrt: sqrtGrad,
  Squeeze: reshapeGrad,
  Sub: subGrad,
  Tanh: tanhGrad,
  Transpose: transposeGrad,
  Unsqueeze: reshapeGrad,
};

/** Operators whose output stays the same under small changes of their input. */
const flat: readonly string[] = ['Equal', 'Greater', 'Shape', 'Sign', 'Size'];

const gradientsOnly = 'it appears in gradients only, and second derivatives are not supported';

const refused: Readonly<Record<string, string>> = {
  ConvTranspose: gradientsOnly,
  ScatterElements: gradientsOnly,
};

/** The answers of plain differentiation. */
export const plainRules: Registry = new Map<string, Answer>([
  ...Object.entries(rules).map(([operator, rule]): [string, Answer] => [operator, { kind: 'rule', rule }]),
  ...flat.map((operator): [string, Answer] => [operator, { kind: 'no gradient' }]),
  ...Object.entries(refused).map(([operator, why]): [string, Answer] => [operator, { kind: 'refused', why }]),
]);

/** The same with guided back-propagation through every Relu. */
export const guidedRules: Registry = new Map<string, Answer>([
  ...plainRules,
  ['Relu', { kind: 'rule', rule: guidedReluGrad }],
]);
