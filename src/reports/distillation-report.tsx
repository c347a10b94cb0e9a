/** What is known of a detector when it has been made: its good photos, its threshold, and how it was made. */
import type { Manifest } from '../detector/index.js';
import { histogram } from './charts.js';
import { Card, documentOf, Svg, Table } from './document.js';

export interface Made {
  /** As the user names it. */
  readonly name: string;
  readonly manifest: Manifest;
  /** What was told while it was made. */
  readonly warnings: readonly string[];
  readonly doubtful: readonly { readonly name: string; readonly score: number }[];
}

const percent = (value: number): string => `${Number((100 * value).toPrecision(3))} %`;

/** Returns the file. */
export function distillationHtml({ name, manifest, warnings, doubtful }: Made): string {
  const { calibration, data, distillation, expert, recipe, created, inputSize, range, regionOfInterest } =
    manifest;
  const size =
    typeof inputSize === 'number'
      ? `${inputSize} x ${inputSize}`
      : `${inputSize.width} x ${inputSize.height}`;
  const facts = [
    [
      'Photos',
      `${data.images}${data.copies ? `, ${data.copies} copies left out` : ''}${data.parts ? `, of ${data.parts} parts` : ''}`,
    ],
    ['Recipe', recipe.name],
    ['Expert', expert.name],
    ['Input', `${size} pixels${manifest.tiling ? ', tiles' : ''}${manifest.fit ? `, ${manifest.fit}` : ''}`],
    ...(range ? [['Value range', `${range.low} to ${range.high} become black to white`]] : []),
    ...(regionOfInterest ? [['Region of interest', `${percent(regionOfInterest.share)} of the image`]] : []),
    ['Made', `${created.slice(0, 16).replace('T', ' ')} UTC, in ${Math.round(distillation.seconds)} s`],
    ['Notes', recipe.notes?.join(' ') ?? ''],
  ].filter(([, value]) => value !== '') as [string, string][];
  return documentOf(
    name,
    <>
      <header>
        <h1>{name}</h1>
        <p class="soft">
          Made from {data.images} photos of good parts. No defect is needed for this page; with some, mkd
          evaluate measures the detector.
        </p>
      </header>
      <div class="cards">
        <Card
          title="Photos"
          value={String(data.images)}
          {...(data.parts ? { note: `of ${data.parts} parts` } : {})}
        />
        <Card title="Threshold" value={calibration.threshold.toPrecision(4)} />
        <Card
          title="False alarms"
          value={`≤ ${percent(calibration.falseAlarmRate)}`}
          note="of new good parts, promised"
        />
        <Card title="Doubtful photos" value={String(doubtful.length)} note="unlike the other good ones" />
      </div>
      <div class="charts">
        <Svg
          title="Scores of the good photos, each by the others"
          svg={histogram(
            'score',
            [{ name: 'good', tone: 'good', values: calibration.scores }],
            calibration.threshold,
          )}
        />
      </div>
      {doubtful.length > 0 && (
        <Table
          title="Doubtful photos: do they show a defect?"
          rows={doubtful}
          columns={[
            { title: 'Score', text: ({ score }) => score.toPrecision(4), value: ({ score }) => score },
            { title: 'Photo', text: (photo) => photo.name },
          ]}
        />
      )}
      {warnings.length > 0 && (
        <section class="panel">
          <h2>What to know</h2>
          <ul>
            {warnings.map((warning) => (
              <li key={warning}>{warning}</li>
            ))}
          </ul>
        </section>
      )}
      <Table
        title="How it was made"
        rows={facts}
        columns={[
          { title: 'What', text: ([what]) => what },
          { title: 'Value', text: ([, value]) => value },
        ]}
      />
    </>,
  );
}
