/** The detectors of this service: how each was made, its versions, and which one serves. */
import { signal } from '@preact/signals';
import { useEffect, useState } from 'preact/hooks';
import { api, type DetectorInfo, type DetectorList, type DetectorSummary } from './api.js';
import { DayOfScores } from './day-of-scores.js';
import { oneIn, percent, short } from './numbers.js';

const search = signal('');
const mostRows = 100;

interface Props {
  readonly list: DetectorList | undefined;
  readonly onChange: () => Promise<void>;
}

export function Detectors({ list, onChange }: Props) {
  // What happened since the page was opened.
  useEffect(() => void onChange(), []);
  if (!list) return <p class="soft">Loading the detectors</p>;
  const found = list.detectors.filter(({ name }) => name.toLowerCase().includes(search.value.toLowerCase()));
  return (
    <>
      <div class="bar">
        <h1>Detectors</h1>
        <span class="grow" />
        <label>
          Find{' '}
          <input
            class="select"
            type="search"
            value={search.value}
            onInput={({ currentTarget }) => (search.value = currentTarget.value)}
          />
        </label>
        <a class="btn primary" href="#/make">
          New detector
        </a>
      </div>
      <div class="panel scroll">
        <table>
          <thead>
            <tr>
              <th scope="col">Name</th>
              <th scope="col">Made from</th>
              <th scope="col" class="wide">
                Expert, input
              </th>
              <th scope="col" class="n">
                Threshold
              </th>
              <th scope="col" class="wide">
                False alarms
              </th>
              <th scope="col">Scores of the last day</th>
              <th scope="col" class="n">
                Photos
              </th>
              <th scope="col" class="wide">
                Version
              </th>
            </tr>
          </thead>
          {found.slice(0, mostRows).map((detector) => (
            <Row key={detector.name} detector={detector} onChange={onChange} />
          ))}
        </table>
        {found.length === 0 && <p class="soft">No detector has this in its name.</p>}
        {found.length > mostRows && (
          <p class="soft">
            {mostRows} of {found.length}; type a part of the name.
          </p>
        )}
      </div>
      {list.refused.length > 0 && (
        <section class="panel">
          <h2>Refused</h2>
          <dl>
            {list.refused.map(({ name, reason }) => (
              <>
                <dt>{name}</dt>
                <dd>{reason}</dd>
              </>
            ))}
          </dl>
        </section>
      )}
    </>
  );
}

function Row({
  detector,
  onChange,
}: {
  readonly detector: DetectorSummary;
  readonly onChange: () => Promise<void>;
}) {
  const [info, setInfo] = useState<DetectorInfo>();
  const [trouble, setTrouble] = useState<string>();
  const { name, inputSize, threshold, version, versions, available, lastDay } = detector;
  const load = (): Promise<void> =>
    api.detector(name).then(setInfo, (error: Error) => setTrouble(error.message));
  const toggle = (): void => {
    if (info) setInfo(undefined);
    else void load();
  };
  const activate = (which: string): void => {
    setTrouble(undefined);
    api.activate(name, which).then(
      async () => {
        await onChange();
        await load();
      },
      (error: Error) => setTrouble(error.message),
    );
  };
  const side =
    typeof inputSize === 'number'
      ? `${inputSize} x ${inputSize}`
      : `${inputSize.width} x ${inputSize.height}`;
  return (
    <tbody>
      <tr>
        <td>
          <button type="button" class="link" aria-expanded={info !== undefined} onClick={toggle}>
            {name}
          </button>
          {!available && <span class="soft"> unloaded</span>}
        </td>
        <td>
          {detector.photos} photos,{' '}
          <span class="nowrap">{new Date(detector.created).toLocaleDateString()}</span>
        </td>
        <td class="wide">
          {detector.expert.replace('-imagenet', '')}, {side}
        </td>
        <td class="n">{short(threshold)}</td>
        <td class="wide">at most {percent(detector.falseAlarmRate)}</td>
        <td>
          <DayOfScores detector={detector} />
        </td>
        <td class="n" title={`${lastDay.anomalous} of them anomalous`}>
          {lastDay.images.toLocaleString('en')}
        </td>
        <td class="wide">
          <code>{version}</code>
          {versions > 1 && <div class="soft small">and {versions - 1} earlier</div>}
        </td>
      </tr>
      {(info || trouble) && (
        <tr>
          <td colSpan={8}>
            {trouble && (
              <p class="note bad" role="alert">
                {trouble}
              </p>
            )}
            {info && <Details info={info} onActivate={activate} />}
          </td>
        </tr>
      )}
    </tbody>
  );
}

function Details({
  info,
  onActivate,
}: {
  readonly info: DetectorInfo;
  readonly onActivate: (version: string) => void;
}) {
  const { manifest, versions } = info;
  const { expert, recipe, data, distillation, calibration } = manifest;
  return (
    <div class="details">
      <dl>
        <dt>Made from</dt>
        <dd>{data.images} photos of good parts</dd>
        <dt>Recipe</dt>
        <dd>
          {recipe.name}, in {Math.round(distillation.seconds)} s
        </dd>
        <dt>Expert</dt>
        <dd>{expert.name}</dd>
        <dt>False alarms</dt>
        <dd>at most {oneIn(calibration.falseAlarmRate)} good parts</dd>
      </dl>
      <ul class="versions">
        {versions.map(({ version, created, current, state, reason }) => (
          <li key={version}>
            <code>{version}</code> <span class="soft">{new Date(created).toLocaleString()}</span>{' '}
            {state === 'refused' && <span class="note bad">{reason}</span>}
            {current ? (
              <b class="good">serves</b>
            ) : (
              <button type="button" class="btn small" onClick={() => onActivate(version)}>
                Let this one serve
              </button>
            )}
          </li>
        ))}
      </ul>
    </div>
  );
}
