/** Why: the verdict, where the score lies among good photos, what adds to it, and the regions. */
import { useState } from 'preact/hooks';
import { promisedRate } from '../detector/conformal.js';
import { api, type DetectorInfo, type Result } from './api.js';
import { download } from './download.js';
import { Mark } from './marks.js';
import { milliseconds, oneIn, percent, short } from './numbers.js';
import { type Photo, photos, scoreAgain, trialThreshold, verdictOf } from './photos.js';
import { regionHovered } from './regions.js';
import { Scale } from './scale.js';

interface Props {
  readonly photo: Photo | undefined;
  readonly info: DetectorInfo | undefined;
  /** Makes the threshold that was tried out the detector's own. */
  readonly onSave: (name: string, threshold: number) => Promise<void>;
}

export function Reasons({ photo, info, onSave }: Props) {
  if (photo?.outcome.state !== 'scored') return <Made info={info} />;
  const { result } = photo.outcome;
  return (
    <>
      <Verdict photo={photo} result={result} />
      {result.warnings?.map((warning) => (
        <p key={warning} class="note warn">
          {warning}
        </p>
      ))}
      {info && info.version !== photo.outcome.version ? (
        <p class="note warn">
          This is what an earlier version of {info.name} said.{' '}
          <button type="button" class="link" onClick={() => scoreAgain(({ id }) => id === photo.id)}>
            Score again
          </button>
        </p>
      ) : (
        info && <Threshold info={info} score={result.score} onSave={onSave} />
      )}
      <Layers result={result} />
      <Regions result={result} />
      <Mark photo={photo} />
      <Facts photo={photo} result={result} />
    </>
  );
}

/** What can be said before there is a photo. */
function Made({ info }: { readonly info: DetectorInfo | undefined }) {
  if (!info) return null;
  const { data, recipe, calibration, created } = info.manifest;
  return (
    <section class="panel">
      <h2>{info.name}</h2>
      <p class="soft">
        Made from {data.images} photos of good parts on {new Date(created).toLocaleDateString()} by the recipe{' '}
        {recipe.name}. At most {oneIn(calibration.falseAlarmRate)} good parts is called anomalous.
      </p>
    </section>
  );
}

function Verdict({ photo, result }: { readonly photo: Photo; readonly result: Result }) {
  const verdict = verdictOf(photo) ?? result.verdict;
  const threshold = trialThreshold.value ?? result.threshold;
  const share = `${result.pValueIsBound ? 'Fewer than ' : 'About '}${oneIn(result.pValue)} good parts`;
  const rank =
    result.pValue > 0.5
      ? 'Most good parts score higher'
      : `${share} ${result.pValueIsBound ? 'score' : 'scores'} this high`;
  return (
    <section class={`verdict ${verdict}`} aria-live="polite" aria-label="Verdict">
      <svg viewBox="0 0 24 24" aria-hidden="true">
        {verdict === 'anomalous' ? (
          <path d="M12 2.5 23 21.5H1Z M11 9v6h2V9Zm0 7.5v2h2v-2Z" fill-rule="evenodd" />
        ) : (
          <path
            d="M12 2a10 10 0 1 0 0 20 10 10 0 0 0 0-20Zm-1.2 14.4-4.3-4.3 1.6-1.6 2.7 2.7 5.3-5.6 1.6 1.6Z"
            fill-rule="evenodd"
          />
        )}
      </svg>
      <div>
        <b>{verdict === 'anomalous' ? 'Anomalous' : 'Good'}</b>
        <small>
          Score {short(result.score)}, threshold {short(threshold)}. {rank}.
        </small>
      </div>
    </section>
  );
}

interface ThresholdProps {
  readonly info: DetectorInfo;
  readonly score: number;
  readonly onSave: Props['onSave'];
}

function Threshold({ info, score, onSave }: ThresholdProps) {
  const [trouble, setTrouble] = useState<string>();
  const { scores, threshold: own } = info.manifest.calibration;
  const threshold = trialThreshold.value ?? own;
  const scored = photos.value.filter(
    ({ detector, outcome }) => detector === info.name && outcome.state === 'scored',
  );
  const anomalous = scored.filter((photo) => verdictOf(photo) === 'anomalous').length;
  const tryOut = (value: number | undefined): void => {
    setTrouble(undefined);
    trialThreshold.value = value;
  };
  const save = (): void => {
    // With the digits that are shown.
    onSave(info.name, Number(short(threshold))).catch((error: Error) => setTrouble(error.message));
  };
  return (
    <section class="panel">
      <h2 class="label">Where this photo lies among good ones</h2>
      <Scale good={scores} score={score} own={own} threshold={threshold} onThreshold={tryOut} />
      <p class="soft small">
        At {short(threshold)}: {anomalous} of {scored.length} {scored.length === 1 ? 'photo' : 'photos'} here{' '}
        {anomalous === 1 ? 'is' : 'are'} anomalous; {alarms(scores, threshold)}.
      </p>
      {trialThreshold.value !== undefined && (
        <div class="bar">
          <button type="button" class="btn small" onClick={save}>
            Save for {info.name}
          </button>
          <button type="button" class="btn small" onClick={() => tryOut(undefined)}>
            Back to {short(own)}
          </button>
        </div>
      )}
      {trouble !== undefined && (
        <p class="note bad small" role="alert">
          Not saved: {trouble}
        </p>
      )}
    </section>
  );
}

function alarms(scores: readonly number[], threshold: number): string {
  try {
    return `false alarms at most ${percent(promisedRate(scores, threshold))}`;
  } catch {
    return 'every good part would be a false alarm';
  }
}

const meanings = { texture: 'Texture', structure: 'Structure' };

function Layers({ result: { layers } }: { readonly result: Result }) {
  const most = Math.max(...layers.map(({ contribution }) => Math.abs(contribution)), 1e-9);
  return (
    <section class="panel">
      <h2 class="label">What adds to the score</h2>
      <ul class="rows">
        {layers.map(({ layer, meaning, contribution }) => (
          <li key={layer}>
            <span title={layer}>
              {meanings[meaning]} <span class="soft small">{layer}</span>
            </span>
            <span class="track" aria-hidden="true">
              <i
                class={contribution < 0 ? 'less' : ''}
                style={{ width: `${(100 * Math.abs(contribution)) / most}%` }}
              />
            </span>
            <span class="number">
              {contribution < 0 ? '−' : '+'}
              {short(Math.abs(contribution))}
            </span>
          </li>
        ))}
      </ul>
    </section>
  );
}

const mostRegions = 8;

function Regions({ result: { localization, width, height } }: { readonly result: Result }) {
  if (!localization) return null;
  const { regions } = localization;
  return (
    <section class="panel">
      <h2 class="label">Regions</h2>
      {regions.length === 0 && <p class="soft">No place reaches the map's threshold.</p>}
      <ol class="regions">
        {regions.slice(0, mostRegions).map(({ box, peak, area }, index) => (
          <li
            key={`${box.x} ${box.y}`}
            onPointerEnter={() => (regionHovered.value = index)}
            onPointerLeave={() => (regionHovered.value = undefined)}
          >
            <b>{index + 1}</b>
            <span>{short(peak)} times the threshold</span>
            <span class="soft">
              {Math.round(box.width)} x {Math.round(box.height)} px, {percent(area / (width * height))}
            </span>
          </li>
        ))}
      </ol>
      {regions.length > mostRegions && <p class="soft small">And {regions.length - mostRegions} more.</p>}
    </section>
  );
}

const downloads = [
  ['heatmap', 'png'],
  ['overlay', 'png'],
  ['mask', 'png'],
  ['map', 'npy'],
] as const;

function Facts({ photo, result }: { readonly photo: Photo; readonly result: Result }) {
  const { timings, id, links } = result;
  const [trouble, setTrouble] = useState<string>();
  const save = (kind: keyof typeof links, ending: string): void => {
    const name = photo.name.replace(/\.[^.]*$/, '');
    api.file(links[kind]).then(
      (file) => download(`${name}-${kind}.${ending}`, file),
      (error: Error) => setTrouble(error.message),
    );
  };
  return (
    <section class="panel">
      <h2 class="label">This result</h2>
      {trouble !== undefined && (
        <p class="note bad small" role="alert">
          {trouble}
        </p>
      )}
      <dl>
        <dt>Decoded, waited, computed</dt>
        <dd>
          {milliseconds(timings.decodeMs)}, {milliseconds(timings.queueMs)},{' '}
          {milliseconds(timings.inferenceMs)}
        </dd>
        <dt>Detector</dt>
        <dd>{photo.detector}</dd>
        <dt>Link</dt>
        <dd>
          <a href={`#/results/${id}`}>{id.slice(0, 8)}</a>
        </dd>
      </dl>
      <div class="bar">
        <span class="soft grow">Download</span>
        {downloads.map(([kind, ending]) => (
          <button key={kind} type="button" class="link" onClick={() => save(kind, ending)}>
            {kind}
          </button>
        ))}
      </div>
    </section>
  );
}
