/**
 * Past verdicts as lines of JSON: the output of `mkd score --json`, with a person's `label` if there is one.
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

/** One line; unknown fields are ignored. */
export interface PastVerdict {
  readonly image: string;
  /** Of the detector that gave the score. */
  readonly version: string;
  readonly score: number;
  /** Whether the detector was trained on the image. */
  readonly learned?: boolean;
  /** A person's label. */
  readonly label?: 'good' | 'anomalous';
}

/**
 * Parses verdicts. Of lines with the same image and score, only the last is used: duplicates add no information.
 * @param text one JSON object per line; empty lines are ignored.
 * @throws CalibrationError naming a line that is invalid or was scored by another detector.
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
        `line ${index + 1} was scored by version ${verdict.version}; this detector is ${versions.join(', before ')}; score the images again`,
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
    throw new CalibrationError(`line ${number} is not JSON; use the output of mkd score --json`);
  }
  if (Value.Check(pastVerdictSchema, parsed)) return parsed;
  throw new CalibrationError(
    `line ${number} is not a verdict; it must have image, version and score as printed by mkd score --json, ` +
      "and optionally a label, 'good' or 'anomalous'",
  );
}
