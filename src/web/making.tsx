/** A detector while it is made, and once it is. */
import { useEffect } from 'preact/hooks';
import { cancel, defective, good, job, name, startOver, tryIt, withoutDoubtful } from './make-job.js';
import { oneIn, short } from './numbers.js';

const doing: Readonly<Record<string, string>> = {
  read: 'Reading the photos',
  expert: 'The expert looks at the photos',
  distill: 'Training the cloner',
  scale: 'Finding what good parts have in common',
  calibrate: 'Setting the threshold',
};

export function Making() {
  const { state, progress, photos } = job.value ?? {};
  const share = progress?.share ?? 0;
  const words =
    state === 'waiting'
      ? 'Waiting for its turn'
      : progress
        ? `${doing[progress.phase]}, ${progress.done} of ${progress.total}`
        : 'Starting';
  return (
    <section class="panel form" aria-label="Progress">
      <div class="bar">
        <h2>Making {name.value}</h2>
        <span class="soft" role="status">
          {words}
        </span>
        <span class="grow" />
        {progress?.secondsLeft !== undefined && <span>{progress.secondsLeft} s left</span>}
        <button type="button" class="btn" onClick={() => void cancel()}>
          Cancel
        </button>
      </div>
      <progress value={share} max={1} aria-label="Progress of the detector" />
      <p class="soft">
        From {photos?.used ?? 0} photos. You may close this page: the service goes on, and lists it under
        Service.
      </p>
    </section>
  );
}

/** The picture of a photo that was sent from this page. @param name as the service keeps it. */
function pictureOf(name: string): string | undefined {
  return good.value.find(({ check }) => check?.name === name)?.thumbnail ?? undefined;
}

export function Made({ onMade }: { readonly onMade: () => Promise<void> }) {
  useEffect(() => {
    void onMade();
  }, [onMade]);
  const { outcome, warnings = [] } = job.value ?? {};
  if (!outcome) return null;
  const { doubtful } = outcome;
  const defects = defective.value.length;
  return (
    <>
      <section class="panel form" aria-label="The new detector">
        <div class="bar">
          <h2>{name.value} is ready</h2>
          <span class="note good">serves</span>
          <span class="grow" />
          <button type="button" class="btn" onClick={startOver}>
            Make another one
          </button>
          <button type="button" class="btn primary" onClick={tryIt}>
            {defects === 0
              ? 'Try it'
              : defects === 1
                ? 'Score the photo of a defect'
                : `Score ${defects} photos of defects`}
          </button>
        </div>
        <dl>
          <dt>Made from</dt>
          <dd>
            {outcome.images} photos, in {Math.round(outcome.seconds)} s
          </dd>
          <dt>Threshold</dt>
          <dd>{short(outcome.threshold)}</dd>
          <dt>False alarms</dt>
          <dd>at most {oneIn(outcome.falseAlarmRate)} good parts</dd>
        </dl>
      </section>
      {doubtful.length > 0 && (
        <section class="panel form" aria-label="Doubtful photos">
          <h2>
            {doubtful.length === 1 ? 'One photo is' : `${doubtful.length} photos are`} unlike the other good
            ones
          </h2>
          <p class="soft">
            {doubtful.length === 1
              ? 'Look at it. If it shows a defect, make the detector without it.'
              : 'Look at them. Make the detector without those that show a defect.'}
          </p>
          <ul class="grid">
            {doubtful.slice(0, 20).map((photo) => (
              <li key={photo.name} class="thumb" title={photo.name}>
                {pictureOf(photo.name) ? <img src={pictureOf(photo.name)} alt="" /> : <span class="blank" />}
                <span class="name">{photo.name}</span>
                <span>score {short(photo.score)}</span>
              </li>
            ))}
          </ul>
          <div class="bar">
            <button type="button" class="btn" onClick={() => void withoutDoubtful()}>
              Make it again without {doubtful.length === 1 ? 'this photo' : `these ${doubtful.length} photos`}
            </button>
          </div>
        </section>
      )}
      {warnings.length > 0 && (
        <section class="panel form" aria-label="What to know">
          <h2>What to know</h2>
          <ul>
            {warnings.map((warning) => (
              <li key={warning}>{warning}</li>
            ))}
          </ul>
        </section>
      )}
    </>
  );
}
