/** Every operator's answer to the question for its gradient, from the tables of the families. */
import { convolutionRules } from './convolution.js';
import { elementwiseRules, guidedRelu } from './elementwise.js';
import { poolingRules } from './pooling.js';
import { productRules } from './products.js';
import { reductionRules } from './reductions.js';
import type { Answer, GradientRules, Registry } from './rule.js';
import { shapeRules } from './shapes.js';

const families: readonly GradientRules[] = [
  elementwiseRules,
  reductionRules,
  shapeRules,
  convolutionRules,
  poolingRules,
  productRules,
];

/** Operators whose output does not change when their input changes a little. */
const withoutGradient: readonly string[] = ['Equal', 'Greater', 'Shape', 'Sign', 'Size'];

const gradientsOnly = 'it appears only in gradients, and second derivatives are not supported';

const refused: Readonly<Record<string, string>> = {
  ConvTranspose: gradientsOnly,
  ScatterElements: gradientsOnly,
};

/** The answers of plain differentiation. */
export const plainRules: Registry = new Map<string, Answer>([
  ...families.flatMap((family) =>
    Object.entries(family).map(([operator, rule]): [string, Answer] => [operator, { kind: 'rule', rule }]),
  ),
  ...withoutGradient.map((operator): [string, Answer] => [operator, { kind: 'no gradient' }]),
  ...Object.entries(refused).map(([operator, why]): [string, Answer] => [operator, { kind: 'refused', why }]),
]);

/** The same, with guided back-propagation through every Relu. */
export const guidedRules: Registry = new Map<string, Answer>([
  ...plainRules,
  ['Relu', { kind: 'rule', rule: guidedRelu }],
]);
