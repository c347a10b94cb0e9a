/** A detector made from photos of good parts: choose them, see them checked, make it, try it. */
import './make.css';
import type { DetectorList } from './api.js';
import { CandidatePhotos } from './candidate-photos.js';
import {
  cancel,
  check,
  falseAlarmRate,
  fewestPhotos,
  good,
  isAddition,
  job,
  knownPhotos,
  make,
  name,
  sent,
  setAddition,
  startOver,
  step,
  trouble,
  usualRate,
} from './make-job.js';
import { Made, Making } from './making.js';
import { RegionDrawing } from './region-drawing.js';

const steps = [
  ['choose', 'Photos of good parts'],
  ['check', 'Check'],
  ['make', 'Make'],
  ['try', 'Try it'],
] as const;

const validName = /^[A-Za-z0-9][A-Za-z0-9._-]{0,99}$/;

/** Photos are added to a detector that is there; under another name, a new one is made. */
function rename(to: string, { detectors }: DetectorList): void {
  name.value = to;
  if (isAddition.value && !detectors.some((detector) => detector.name === to)) setAddition(false);
}

/** Says what is missing before photos can be checked; undefined if nothing is. */
function missing(list: DetectorList): string | undefined {
  const isKnown = list.detectors.some((detector) => detector.name === name.value);
  if (name.value === '') return 'Give the detector a name.';
  if (!validName.test(name.value)) {
    return 'A name has up to 100 letters, digits, dots, hyphens and underscores, and begins with a letter or digit.';
  }
  if (isAddition.value && !isKnown) return 'There is no detector of this name to add photos to.';
  if (good.value.length === 0) return 'Add photos of good parts.';
  if (!isAddition.value && good.value.length < fewestPhotos) {
    return `${good.value.length} photos are too few: ${fewestPhotos} are needed, 50 are good.`;
  }
  return undefined;
}

export function Make({
  list,
  onMade,
}: {
  readonly list: DetectorList | undefined;
  readonly onMade: () => Promise<void>;
}) {
  if (!list) return <p class="soft">Loading the detectors</p>;
  const now = step.value;
  const at = steps.findIndex(([key]) => key === now);
  const wanted = missing(list);
  return (
    <>
      <div class="bar">
        <h1>{isAddition.value ? `Add photos to ${name.value}` : 'New detector'}</h1>
        {isAddition.value && now === 'choose' && (
          <button type="button" class="btn small" onClick={startOver}>
            Make a new one instead
          </button>
        )}
        <span class="grow" />
        {now === 'choose' && wanted !== undefined && (
          <span class="soft" role="status">
            {wanted}
          </span>
        )}
        {now === 'check' && (
          <>
            <button type="button" class="btn" onClick={() => void cancel()}>
              Change photos
            </button>
            <button
              type="button"
              class="btn primary"
              disabled={!isAddition.value && usable() < fewestPhotos}
              onClick={() => void make()}
            >
              {isAddition.value ? 'Add photos to the detector' : 'Make detector'}
            </button>
          </>
        )}
        {now === 'choose' && (
          <button
            type="button"
            class="btn primary"
            disabled={wanted !== undefined || sent.value !== undefined}
            onClick={() => void check()}
          >
            Check photos
          </button>
        )}
      </div>
      <ol class="steps" aria-label="Steps">
        {steps.map(([key, title], index) => (
          <li
            key={key}
            class={index < at ? 'step done' : index === at ? 'step on' : 'step'}
            aria-current={index === at ? 'step' : undefined}
          >
            {index + 1} {title}
          </li>
        ))}
      </ol>
      {trouble.value !== undefined && (
        <p class="note bad" role="alert">
          {trouble.value}
        </p>
      )}
      {now === 'make' && <Making />}
      {now === 'try' && <Made onMade={onMade} />}
      {(now === 'choose' || now === 'check') && (
        <div class="make">
          <div class="left">
            <CandidatePhotos isGood isFixed={now === 'check'} />
            <CandidatePhotos isGood={false} isFixed={false} />
          </div>
          <div class="side">
            <Settings list={list} isFixed={now === 'check'} />
            {!isAddition.value && <RegionDrawing photo={good.value.find(({ thumbnail }) => thumbnail)} />}
          </div>
        </div>
      )}
      {sent.value !== undefined && (
        <p role="status">
          Sending photo {Math.min(sent.value + 1, good.value.length)} of {good.value.length}{' '}
          <progress value={sent.value} max={good.value.length} aria-label="Photos sent" />
        </p>
      )}
    </>
  );
}

function usable(): number {
  return good.value.filter(({ check }) => check?.state === 'used').length;
}

const rates = [
  [0.05, '1 in 20'],
  [0.02, '1 in 50'],
  [0.01, '1 in 100'],
] as const;

function Settings({ list, isFixed }: { readonly list: DetectorList; readonly isFixed: boolean }) {
  const isKnown = list.detectors.some((detector) => detector.name === name.value);
  return (
    <section class="panel form" aria-label="Settings">
      <h2>Settings</h2>
      <label>
        Name
        <input
          class="field"
          value={name.value}
          disabled={isFixed}
          autocomplete="off"
          placeholder="flange"
          onInput={({ currentTarget }) => rename(currentTarget.value.trim(), list)}
        />
      </label>
      {isKnown && (
        <fieldset disabled={isFixed}>
          <legend>There is a detector of this name</legend>
          <label>
            <input type="radio" name="mode" checked={!isAddition.value} onChange={() => setAddition(false)} />{' '}
            Make a new version from these photos alone
          </label>
          <label>
            <input type="radio" name="mode" checked={isAddition.value} onChange={() => setAddition(true)} />{' '}
            Add these photos to those it was made from
          </label>
        </fieldset>
      )}
      <label>
        False alarms, at most
        <select
          class="select"
          value={falseAlarmRate.value}
          disabled={isFixed}
          onChange={({ currentTarget }) => (falseAlarmRate.value = Number(currentTarget.value))}
        >
          {rates.map(([rate, words]) => (
            <option key={rate} value={rate} disabled={tooFewFor(rate)}>
              {words} good parts
              {tooFewFor(rate) ? `, from ${Math.ceil(1 / rate) - 1} photos on` : ''}
            </option>
          ))}
        </select>
      </label>
      {job.value?.hasRegion && <p class="soft">A region of interest is set.</p>}
    </section>
  );
}

/** A promise needs so many photos; with fewer, the lowest possible one is made. */
function tooFewFor(rate: number): boolean {
  const all = good.value.length + (isAddition.value ? knownPhotos.value : 0);
  return rate < usualRate && all + 1 < 1 / rate;
}
