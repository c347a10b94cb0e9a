/**
 * Verdicts of the past, as lines of JSON: what `mkd score --json` prints, and beside it a person's `label` where
 * there is one.
 */
import { Type } from 'typebox';
import { Value } from 'typebox/value';
import { CalibrationError, type LoadedDetector, scoreRounding } from '../detector/index.js';

const pastVerdictSchema = Type.Object({
  image: Type.String(),
  version: Type.String(),
  score: Type.Number(),
  learned: Type.Optional(Type.Boolean()),
  label: Type.Optional(Type.Union([Type.Literal('good'), Type.Literal('anomalous')])),
});

/** One line; unknown fields are passed over. */
export interface PastVerdict {
  readonly image: string;
  /** Of the detector that gave the score. */
  readonly version: string;
  readonly score: number;
  /** Whether the detector has learned from the image. */
  readonly learned?: boolean;
  /** What a person said of the image. */
  readonly label?: 'good' | 'anomalous';
}

/**
 * @param text one JSON object a line; empty lines are passed over. An image that comes up again, by its name and score,
 * counts once, as the last of its lines says: twice as many lines know no more than once.
 * @throws CalibrationError naming the line that is none, or that another detector scored.
 */
export function parseVerdicts(text: string, detector: LoadedDetector): PastVerdict[] {
  const { version, manifest } = detector;
  const versions = [version, ...(manifest.calibration.earlierVersions ?? [])];
  const byImage = new Map<string, PastVerdict[]>();
  for (const [index, line] of text.split('\n').entries()) {
    if (line.trim() === '') continue;
    const verdict = parseLine(line, index + 1);
    if (!versions.includes(verdict.version)) {
      throw new CalibrationError(
        `line ${index + 1} was scored by version ${verdict.version}; this detector is ${versions.join(', before ')}`,
      );
    }
    const ofImage = byImage.get(verdict.image) ?? [];
    const rounding = scoreRounding(manifest.terms, verdict.score);
    const again = ofImage.findIndex(({ score }) => Math.abs(score - verdict.score) <= rounding);
    ofImage[again < 0 ? ofImage.length : again] = verdict;
    byImage.set(verdict.image, ofImage);
  }
  return [...byImage.values()].flat();
}

function parseLine(line: string, number: number): PastVerdict {
  let parsed: unknown;
  try {
    parsed = JSON.parse(line);
  } catch {
    throw new CalibrationError(`line ${number} is no JSON; wanted lines as mkd score --json prints them`);
  }
  if (Value.Check(pastVerdictSchema, parsed)) return parsed;
  throw new CalibrationError(
    `line ${number} is no verdict; wanted image, version and score as mkd score --json prints them, ` +
      "and where it is known label, 'good' or 'anomalous'",
  );
}
