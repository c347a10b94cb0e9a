/** Reverse-mode differentiation of ONNX graphs. */
export { addGradients, type GradientOptions } from './gradients.js';
export type { Differentiation, GradientRule, GradientRules, Registry, RuleContext } from './rule.js';
export { guidedRules, plainRules } from './rules.js';
