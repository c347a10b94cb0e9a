/** How each operator is differentiated, collected from the operator families. */
import { convolutionRules } from './convolution.js';
import { elementwiseRules, guidedClip, guidedRelu } from './elementwise.js';
import { poolingRules } from './pooling.js';
import { productRules } from './products.js';
import { reductionRules } from './reductions.js';
import type { Differentiation, GradientRules, Registry } from './rule.js';
import { shapeRules } from './shapes.js';

const families: readonly GradientRules[] = [
  elementwiseRules,
  reductionRules,
  shapeRules,
  convolutionRules,
  poolingRules,
  productRules,
];

/** Operators whose output does not change with small changes of the input. */
const withoutGradient: readonly string[] = ['Equal', 'Greater', 'Shape', 'Sign', 'Size'];

const gradientsOnly = 'it appears only in gradients, and second derivatives are not supported';

const refused: Readonly<Record<string, string>> = {
  ConvTranspose: gradientsOnly,
  ScatterElements: gradientsOnly,
};

/** The rules of plain differentiation. */
export const plainRules: Registry = new Map<string, Differentiation>([
  ...families.flatMap((family) =>
    Object.entries(family).map(([operator, rule]): [string, Differentiation] => [
      operator,
      { kind: 'rule', rule },
    ]),
  ),
  ...withoutGradient.map((operator): [string, Differentiation] => [operator, { kind: 'no gradient' }]),
  ...Object.entries(refused).map(([operator, reason]): [string, Differentiation] => [
    operator,
    { kind: 'refused', reason },
  ]),
]);

/** The same, with guided back-propagation through every Relu, with an upper bound or without. */
export const guidedRules: Registry = new Map<string, Differentiation>([
  ...plainRules,
  ['Relu', { kind: 'rule', rule: guidedRelu }],
  ['Clip', { kind: 'rule', rule: guidedClip }],
]);
