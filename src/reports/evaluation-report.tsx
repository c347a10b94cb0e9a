/** An evaluation as a file to read: figures, curves, tables, and the photos that say most. */
import type { Manifest } from '../detector/index.js';
import type { Comparison, EvaluationReport, KindFigures, TermFigures } from '../evaluation/index.js';
import { histogram, unitCurves } from './charts.js';
import { Card, type Column, documentOf, Svg, Table } from './document.js';
import { Gallery, type Group, type Pictures } from './gallery.js';

/** What a report shows of one detector. */
export interface Evaluated {
  /** As the user names it. */
  readonly name: string;
  readonly report: EvaluationReport;
  readonly manifest: Manifest;
  readonly groups: readonly Group[];
  readonly pictures: ReadonlyMap<string, Pictures>;
}

/** Returns the file. @param all one detector, or two side by side. @param comparison of two. */
export function evaluationHtml(all: readonly Evaluated[], comparison?: Comparison): string {
  const names = all.map(({ name }) => name).join(' and ');
  const [first] = all as [Evaluated];
  return documentOf(
    `${names} on ${first.report.dataset}`,
    <>
      <header>
        <h1>{names}</h1>
        <p class="soft">
          on {first.report.images.good} good and {first.report.images.defective} defective photos of{' '}
          {first.report.dataset}
        </p>
      </header>
      {comparison && <Compared comparison={comparison} names={all.map(({ name }) => name)} />}
      <div class="columns">
        {all.map((each) => (
          <div key={each.name}>
            <One evaluated={each} isAlone={all.length === 1} />
          </div>
        ))}
      </div>
    </>,
  );
}

const share = (value: number | null): string => (value === null ? 'no masks' : value.toFixed(3));
const percent = (value: number): string => `${(100 * value).toFixed(1)} %`;

function Compared({
  comparison,
  names,
}: {
  readonly comparison: Comparison;
  readonly names: readonly string[];
}) {
  const { imageAurocDifference: difference, interval, flips } = comparison;
  const [low, high] = interval;
  const isSure = low > 0 || high < 0;
  return (
    <section class="panel">
      <h2>
        {names[1]} against {names[0]}
      </h2>
      <p>
        Image AUROC {difference >= 0 ? '+' : ''}
        {difference.toFixed(4)}, 95 % interval {low.toFixed(4)} to {high.toFixed(4)}:{' '}
        {isSure ? 'the difference is no chance.' : 'the difference may be chance.'} {flips.length} of the
        verdicts differ.
      </p>
    </section>
  );
}

function One({ evaluated, isAlone }: { readonly evaluated: Evaluated; readonly isAlone: boolean }) {
  const { name, report, manifest, groups, pictures } = evaluated;
  const { intervals, curves, scores, threshold, kinds, terms } = report;
  const [low, high] = intervals.imageAuroc;
  const of = (anomalous: boolean): number[] =>
    scores.filter((image) => image.anomalous === anomalous).map(({ score }) => score);
  return (
    <>
      {!isAlone && <h2>{name}</h2>}
      <p class="soft">
        Version {report.detectorVersion}, recipe {manifest.recipe.name}, expert {manifest.expert.name}, made
        from {manifest.data.images} photos on {manifest.created.slice(0, 10)}.
      </p>
      <Notes report={report} />
      <div class="cards">
        <Card
          title="Image AUROC"
          value={share(report.imageAuroc)}
          note={`95 % interval ${low.toFixed(3)} to ${high.toFixed(3)}`}
        />
        <Card title="Pixel AUROC" value={share(report.pixelAuroc)} note={`AUPRO ${share(report.aupro)}`} />
        <Card
          title="Defects found"
          value={percent(report.detectionRate)}
          note={`${report.confusion.truePositives} of ${report.images.defective}, at threshold ${threshold.toPrecision(4)}`}
        />
        <Card
          title="False alarms"
          value={percent(report.falseAlarmRate)}
          note={`${report.confusion.falsePositives} of ${report.images.good}; promised: at most ${percent(manifest.calibration.falseAlarmRate)}`}
        />
      </div>
      <div class="charts">
        <Svg
          title="Scores of good and defective photos"
          svg={histogram(
            'score',
            [
              { name: 'good', tone: 'good', values: of(false) },
              { name: 'defective', tone: 'defective', values: of(true) },
            ],
            threshold,
          )}
        />
        <Svg
          title="ROC curve"
          svg={unitCurves('false positive rate', 'true positive rate', [
            {
              name: 'ROC',
              tone: 'other',
              points: curves.roc.map((point) => [point.falsePositiveRate, point.truePositiveRate]),
            },
          ])}
        />
        <Svg
          title="Precision and recall"
          svg={unitCurves('recall', 'precision', [
            {
              name: 'precision',
              tone: 'other',
              points: curves.precisionRecall.map((point) => [point.recall, point.precision]),
            },
          ])}
        />
      </div>
      <Table title="By kind of defect" rows={Object.entries(kinds)} columns={kindColumns} />
      <Table title="By term of the score" rows={terms} columns={termColumns} />
      {groups.map((group) => (
        <Gallery key={group.title} group={group} pictures={pictures} />
      ))}
      <Table
        title="All photos"
        rows={[...scores].sort((a, b) => b.score - a.score)}
        columns={[
          { title: 'Score', text: ({ score }) => score.toPrecision(5), value: ({ score }) => score },
          { title: 'Verdict', text: ({ verdict }) => verdict, tone: ({ verdict }) => verdict },
          { title: 'Kind', text: ({ kind }) => kind },
          {
            title: 'Right',
            text: ({ verdict, anomalous }) => ((verdict === 'anomalous') === anomalous ? 'yes' : 'no'),
          },
          { title: 'Photo', text: ({ path }) => path },
        ]}
      />
    </>
  );
}

/** What makes figures better than they are. */
function Notes({ report: { images } }: { readonly report: EvaluationReport }) {
  const notes = [
    images.learned.length > 0 &&
      `The detector was made from ${images.learned.length} of these photos: the figures are too good.`,
    images.nearCopies.length > 0 &&
      `${images.nearCopies.length} of the good photos are near-copies of photos that it was made from: they score lower than new parts.`,
    images.withoutMask.length > 0 &&
      `${images.withoutMask.length} of the defective photos have no mask and are not in the pixel figures.`,
  ].filter((note) => note !== false);
  return (
    <>
      {notes.map((note) => (
        <p key={note} class="panel">
          {note}
        </p>
      ))}
    </>
  );
}

type Kind = readonly [name: string, figures: KindFigures];

const kindColumns: readonly Column<Kind>[] = [
  { title: 'Kind', text: ([name]) => name },
  { title: 'Photos', text: ([, { images }]) => String(images), value: ([, { images }]) => images },
  {
    title: 'Image AUROC',
    text: ([, { imageAuroc }]) => share(imageAuroc),
    value: ([, { imageAuroc }]) => imageAuroc,
  },
  {
    title: 'Found',
    text: ([, { detectionRate }]) => percent(detectionRate),
    value: ([, { detectionRate }]) => detectionRate,
  },
  {
    title: 'Pixel AUROC',
    text: ([, { pixelAuroc }]) => share(pixelAuroc),
    value: ([, { pixelAuroc }]) => pixelAuroc ?? 0,
  },
  { title: 'AUPRO', text: ([, { aupro }]) => share(aupro), value: ([, { aupro }]) => aupro ?? 0 },
];

const termColumns: readonly Column<TermFigures>[] = [
  { title: 'Layer', text: ({ layer }) => layer },
  { title: 'Term', text: ({ term, counts }) => (counts ? term : `${term}, not in the score`) },
  {
    title: 'AUROC alone',
    text: ({ imageAuroc }) => share(imageAuroc),
    value: ({ imageAuroc }) => imageAuroc,
  },
  {
    title: 'AUROC of the score without it',
    text: ({ imageAurocWithout }) => imageAurocWithout?.toFixed(3) ?? 'nothing is left',
    value: ({ imageAurocWithout }) => imageAurocWithout ?? 0,
  },
];
