/** What is on the page as one file, to keep or to pass on: every photo with its heatmap, its score and its verdict. */
import { documentOf } from '../reports/document.js';
import { api } from './api.js';
import { short } from './numbers.js';
import { type Photo, verdictOf } from './photos.js';
import { smallCopy } from './thumbnails.js';

const pictureSide = 480;

/** Returns the file. Pictures of results that the service no longer has are left out. */
export async function resultsReport(photos: readonly Photo[]): Promise<string> {
  const pictures: (string | undefined)[] = [];
  // One after another: each overlay is as large as its photo.
  for (const photo of photos) pictures.push(await pictureOf(photo));
  const anomalous = photos.filter((photo) => verdictOf(photo) === 'anomalous').length;
  const scored = photos.filter(({ outcome }) => outcome.state === 'scored').length;
  return documentOf(
    'Inspected photos',
    <>
      <h1>Inspected photos</h1>
      <p class="soft">
        {new Date().toLocaleString()}: {anomalous} of {scored} photos {anomalous === 1 ? 'is' : 'are'}{' '}
        anomalous.
        {scored < photos.length && ` ${photos.length - scored} could not be scored.`}
      </p>
      <section class="panel">
        <table>
          <thead>
            <tr>
              {['Photo', 'Verdict', 'Score', 'Threshold', 'Detector', 'Marked as'].map((heading) => (
                <th key={heading}>
                  <button type="button">{heading}</button>
                </th>
              ))}
            </tr>
          </thead>
          <tbody>
            {photos.map((photo) => (
              <Row key={photo.id} photo={photo} />
            ))}
          </tbody>
        </table>
      </section>
      <section class="gallery">
        {photos.map((photo, index) => {
          const picture = pictures[index];
          return (
            picture && (
              <figure key={photo.id}>
                <img src={picture} alt="" />
                <figcaption>
                  {photo.name} <span class={verdictOf(photo)}>{verdictOf(photo)}</span>
                </figcaption>
              </figure>
            )
          );
        })}
      </section>
    </>,
  );
}

function Row({ photo }: { readonly photo: Photo }) {
  const { name, detector, outcome, label } = photo;
  const verdict = verdictOf(photo);
  return (
    <tr>
      <td class="path">{name}</td>
      {outcome.state === 'scored' ? (
        <>
          <td class={verdict}>{verdict}</td>
          <td>{short(outcome.result.score)}</td>
          <td>{short(outcome.result.threshold)}</td>
          <td>
            {detector} {outcome.version}
          </td>
        </>
      ) : (
        <td colSpan={4}>{outcome.state === 'failed' ? outcome.message : 'not scored yet'}</td>
      )}
      <td>{label}</td>
    </tr>
  );
}

/** Returns the overlay of a photo, small, as a data URL. */
async function pictureOf({ outcome }: Photo): Promise<string | undefined> {
  if (outcome.state !== 'scored') return undefined;
  const overlay = await api.file(outcome.result.links.overlay).catch(() => undefined);
  const small = overlay && (await smallCopy(overlay, pictureSide));
  return small && dataUrl(small);
}

function dataUrl(blob: Blob): Promise<string> {
  return new Promise((resolve, reject) => {
    const reader = new FileReader();
    reader.onload = () => resolve(String(reader.result));
    reader.onerror = () => reject(reader.error);
    reader.readAsDataURL(blob);
  });
}
