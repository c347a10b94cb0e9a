/** Reports for people: single files of HTML. */
import type { UnverifiedDetector } from '../detector/index.js';
import type { Comparison, EvaluationReport } from '../evaluation/index.js';
import type { ScoringEngine } from '../scoring/index.js';
import { evaluationHtml } from './evaluation-report.js';
import { groupsOf, picturesOf } from './gallery.js';

export { distillationHtml } from './distillation-report.js';

export interface EvaluatedDetector {
  /** As the user names it. */
  readonly name: string;
  readonly detector: UnverifiedDetector;
  readonly report: EvaluationReport;
}

/**
 * Returns an evaluation as one file of HTML, of one detector or of two side by side.
 * @param masksOf masks of the test images, by their paths.
 * @throws ImageError if a photo has changed since it was scored.
 */
export async function evaluationReport(
  engine: ScoringEngine,
  evaluated: readonly EvaluatedDetector[],
  masksOf: ReadonlyMap<string, readonly string[]>,
  comparison?: Comparison,
): Promise<string> {
  const shown = [];
  for (const { name, detector, report } of evaluated) {
    const groups = groupsOf(report);
    const pictures = await picturesOf(engine, detector, groups, masksOf);
    shown.push({ name, report, manifest: detector.manifest, groups, pictures });
  }
  return evaluationHtml(shown, comparison);
}
