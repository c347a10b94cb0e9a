/** How well a detector separates: AUROC, average precision, reports. */
export { type EvaluateOptions, type EvaluationReport, evaluate } from './evaluate.js';
export { auroc, averagePrecision } from './ranking.js';
