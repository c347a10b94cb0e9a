/** Evaluation of detectors: figures over scores and pixels, intervals, reports. */
export type { Interval } from './bootstrap.js';
export { bootstrapInterval } from './bootstrap.js';
export { type Comparison, compareReports } from './compare.js';
export { type EvaluateOptions, evaluate } from './evaluate.js';
export { judgeMap, type PixelFigures, pixelFigures } from './pixel-figures.js';
export { auroc, averagePrecision, type BestF1, bestF1, type Curves, partialAuroc } from './ranking.js';
export type {
  Confusion,
  EvaluationReport,
  ImageFigures,
  KindFigures,
  PixelFiguresOrNull,
} from './report.js';
export type { TermFigures } from './term-figures.js';
