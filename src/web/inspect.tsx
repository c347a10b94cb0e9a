/** Photos and their verdicts: drop photos, see where they are wrong. */
import { signal } from '@preact/signals';
import { useEffect } from 'preact/hooks';
import defect1 from '../../examples/defect-1.png';
import defect3 from '../../examples/defect-3.png';
import defect5 from '../../examples/defect-5.png';
import good1 from '../../examples/good-1.png';
import { api, type DetectorInfo, type DetectorList } from './api.js';
import { FileButton } from './file-button.js';
import {
  addPhotos,
  applyThreshold,
  detectorName,
  photos,
  scoreAgain,
  selected,
  step,
  trialThreshold,
} from './photos.js';
import { Reasons } from './reasons.js';
import { cycleView, Stage } from './stage.js';
import { Strip } from './strip.js';

/** What is known of each detector that was chosen. */
const infos = signal<ReadonlyMap<string, DetectorInfo>>(new Map());
const isDragging = signal(false);

const examples = {
  'defect-1.png': defect1,
  'good-1.png': good1,
  'defect-3.png': defect3,
  'defect-5.png': defect5,
};

async function addExamples(): Promise<void> {
  const files = Object.entries(examples).map(async ([name, url]) => ({
    name,
    blob: await (await fetch(url)).blob(),
  }));
  addPhotos(await Promise.all(files));
}

function addFiles(list: FileList | readonly File[] | null | undefined): void {
  const files = [...(list ?? [])];
  if (files.length > 0) addPhotos(files.map((file) => ({ name: file.name, blob: file })));
}

/** Listens for dropped and pasted photos anywhere on the page, and for keys. */
function usePageInput(): void {
  useEffect(() => {
    const done = new AbortController();
    const { signal: until } = done;
    let depth = 0;
    const show = (by: number): void => {
      depth = Math.max(0, depth + by);
      isDragging.value = depth > 0;
    };
    addEventListener('dragenter', () => show(1), { signal: until });
    addEventListener('dragleave', () => show(-1), { signal: until });
    addEventListener('dragover', (event) => event.preventDefault(), { signal: until });
    addEventListener(
      'drop',
      (event) => {
        event.preventDefault();
        show(-depth);
        addFiles(event.dataTransfer?.files);
      },
      { signal: until },
    );
    addEventListener('paste', (event) => addFiles(event.clipboardData?.files), { signal: until });
    addEventListener(
      'keydown',
      ({ key, target, ctrlKey, metaKey, altKey }) => {
        const isTyping = target instanceof HTMLElement && target.matches('input, select, textarea, dialog *');
        if (isTyping || ctrlKey || metaKey || altKey) return;
        if (key === 'ArrowRight' || key === 'j') step(1);
        if (key === 'ArrowLeft' || key === 'k') step(-1);
        if (key === 'v') cycleView();
      },
      { signal: until },
    );
    return () => done.abort();
  }, []);
}

/** Reads what is known of a detector. If that fails, the list of detectors says why. */
async function loadInfo(name: string): Promise<void> {
  const info = await api.detector(name).catch(() => undefined);
  if (info) infos.value = new Map(infos.value).set(name, info);
}

/** @throws RequestError, for example without an admin key. */
async function saveThreshold(name: string, threshold: number): Promise<void> {
  const { version } = await api.setThreshold(name, threshold);
  applyThreshold(name, threshold, infos.value.get(name)?.version, version);
  trialThreshold.value = undefined;
  await loadInfo(name);
}

export function Inspect({ list }: { readonly list: DetectorList | undefined }) {
  usePageInput();
  const name = detectorName.value;
  const version = list?.detectors.find((detector) => detector.name === name)?.version;
  useEffect(() => {
    if (name && infos.value.get(name)?.version !== version) void loadInfo(name);
  }, [name, version]);
  const photo = selected.value;
  const info = infos.value.get(photo?.detector ?? name);
  const done = photos.value.filter(({ outcome }) => outcome.state === 'scored' || outcome.state === 'failed');
  return (
    <>
      <h1 class="hidden">Inspect photos</h1>
      <div class="bar">
        <Choice list={list} />
        <span class="grow" />
        {photos.value.length > 0 && (
          <span class="soft" role="status">
            {done.length} of {photos.value.length} {photos.value.length === 1 ? 'photo' : 'photos'} scored
          </span>
        )}
        <Chooser />
      </div>
      <div class="inspect">
        <div class="left">
          {photo ? <Stage photo={photo} hasGoodPhotos={(info?.photosKept ?? 0) > 0} /> : <Empty />}
          {photos.value.length > 0 && <Strip />}
        </div>
        <div class="side">
          <Reasons photo={photo} info={info} onSave={saveThreshold} />
        </div>
      </div>
      {isDragging.value && (
        <div class="dropping" aria-hidden="true">
          Drop the photos
        </div>
      )}
    </>
  );
}

function Choice({ list }: { readonly list: DetectorList | undefined }) {
  const choose = (event: Event): void => {
    detectorName.value = (event.currentTarget as HTMLSelectElement).value;
    trialThreshold.value = undefined;
    scoreAgain(() => true);
  };
  if (!list) return <span class="soft">Loading the detectors</span>;
  return (
    <label>
      Detector{' '}
      <select class="select" value={detectorName.value} onChange={choose}>
        {list.detectors.map(({ name, available }) => (
          <option key={name} value={name} disabled={!available}>
            {name}
          </option>
        ))}
      </select>
    </label>
  );
}

function Chooser() {
  return (
    <>
      <FileButton label="Take a photo" about="Camera" onFiles={addFiles} camera />
      <FileButton label="Add photos" about="Photos" onFiles={addFiles} isPrimary />
    </>
  );
}

function Empty() {
  return (
    <div class="empty">
      <svg viewBox="0 0 64 64" aria-hidden="true">
        <rect x="6" y="12" width="52" height="40" rx="6" />
        <circle cx="24" cy="28" r="6" />
        <path d="M10 48 28 36l10 8 10-12 8 9" />
      </svg>
      <h2>Drop photos anywhere on this page</h2>
      <p>
        Or paste them, or choose files. JPEG, PNG, WebP and TIFF. They are scored by this service and sent
        nowhere else.
      </p>
      <button type="button" class="btn" onClick={() => void addExamples()}>
        Try four examples
      </button>
      <p class="small">They show a flange, the part that the detector sample was made for.</p>
    </div>
  );
}
