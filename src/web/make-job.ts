/** A detector that is being made: its photos, what the service says of them, and the job. */
import { computed, signal } from '@preact/signals';
import { hasEnded } from '../jobs/states.js';
import {
  api,
  type FormFile,
  type Job,
  type JobPhoto,
  type JobRecord,
  type JobSettings,
  type RequestError,
} from './api.js';
import { addPhotos, detectorName, trialThreshold } from './photos.js';
import { thumbnailOf } from './thumbnails.js';

/** A photo that was chosen. */
export interface Candidate {
  readonly id: number;
  readonly name: string;
  readonly file: Blob;
  readonly isGood: boolean;
  /** Undefined until it is there; null if the browser cannot show the format. */
  readonly thumbnail: string | null | undefined;
  /** What the service says of it. */
  readonly check?: JobPhoto | undefined;
}

export type Point = readonly [x: number, y: number];

/** Polygons in pixels of an image of this size. */
export interface Region {
  readonly width: number;
  readonly height: number;
  readonly polygons: readonly (readonly Point[])[];
}

/** Fewer photos are not enough. */
export const fewestPhotos = 8;

export const name = signal('');
export const candidates = signal<readonly Candidate[]>([]);
export const usualRate = 0.05;
export const falseAlarmRate = signal(usualRate);
/** Whether photos are added to a detector that is there. */
export const isAddition = signal(false);
/** Photos that the detector was made from to which others are added. */
export const knownPhotos = signal(0);
export const region = signal<Region | undefined>(undefined);
export const job = signal<Job | undefined>(undefined);
/** Photos that have arrived at the service, while they are sent. */
export const sent = signal<number | undefined>(undefined);
export const trouble = signal<string | undefined>(undefined);

export const good = computed(() => candidates.value.filter(({ isGood }) => isGood));
export const defective = computed(() => candidates.value.filter(({ isGood }) => !isGood));

/** What is done now. */
export const step = computed((): 'choose' | 'check' | 'make' | 'try' => {
  const state = job.value?.state;
  if (state === 'done') return 'try';
  if (state === 'waiting' || state === 'running') return 'make';
  return state === 'collecting' && sent.value === undefined ? 'check' : 'choose';
});

let lastId = 0;

export function addCandidates(files: readonly File[], isGood: boolean): void {
  const added = files.map(
    (file): Candidate => ({ id: ++lastId, name: file.name, file, isGood, thumbnail: undefined }),
  );
  candidates.value = [...candidates.value, ...added];
  void drawThumbnails(added);
}

/** One after another: many large photos at once would fill the memory. */
async function drawThumbnails(added: readonly Candidate[]): Promise<void> {
  for (const { id, file } of added) {
    const thumbnail = (await thumbnailOf(file)) ?? null;
    change(id, { thumbnail });
  }
}

function change(id: number, changes: Partial<Candidate>): void {
  candidates.value = candidates.value.map((each) => (each.id === id ? { ...each, ...changes } : each));
}

export function remove(id: number): void {
  candidates.value = candidates.value.filter((each) => each.id !== id);
}

/** Photos, and their bytes, in one request. */
const [mostFiles, mostBytes] = [16, 24 * 2 ** 20];

/** The usual rate is not asked for: where it needs more photos, the lowest that they allow is promised. */
function askedRate(): Pick<JobSettings, 'falseAlarmRate'> {
  return falseAlarmRate.value === usualRate ? {} : { falseAlarmRate: falseAlarmRate.value };
}

/** Sends the photos and shows what the service says of them. */
export async function check(): Promise<void> {
  trouble.value = undefined;
  sent.value = 0;
  try {
    const created = await api.distill(name.value, {
      start: false,
      ...askedRate(),
      ...(isAddition.value ? { add: true } : {}),
    });
    job.value = withoutPhotos(created);
    let photos: readonly JobPhoto[] = [];
    for (const batch of batches(good.value)) {
      ({ photos } = await api.addPhotos(created.id, batch.map(asFile)));
      sent.value = photos.length;
    }
    for (const [index, { id }] of good.value.entries()) change(id, { check: photos[index] });
    sent.value = undefined;
  } catch (error) {
    await giveUp(error as Error);
  }
}

/** Returns a new job as the list of jobs shows it. */
function withoutPhotos(record: JobRecord): Job {
  return { ...record, photos: { used: 0, copies: 0, unusable: 0 } };
}

function asFile({ name, file }: Candidate): FormFile {
  return { field: 'photo', name, blob: file };
}

function batches(all: readonly Candidate[]): Candidate[][] {
  const lists: Candidate[][] = [];
  let bytes = Number.POSITIVE_INFINITY;
  for (const each of all) {
    const last = lists.at(-1);
    if (!last || last.length === mostFiles || bytes + each.file.size > mostBytes) {
      lists.push([each]);
      bytes = each.file.size;
    } else {
      last.push(each);
      bytes += each.file.size;
    }
  }
  return lists;
}

/** Goes back to the choice of photos. */
async function giveUp(error: Error | undefined): Promise<void> {
  const { value } = job;
  job.value = undefined;
  sent.value = undefined;
  trouble.value = error?.message;
  for (const { id } of candidates.value) change(id, { check: undefined });
  if (value && !hasEnded(value)) await api.deleteJob(value.id).catch(() => undefined);
}

/** Starts the job, and follows it. */
export async function make(): Promise<void> {
  const { value } = job;
  if (!value) return;
  trouble.value = undefined;
  try {
    if (region.value) {
      const blob = new Blob([JSON.stringify(region.value)], { type: 'application/json' });
      await api.addPhotos(value.id, [{ field: 'region', name: 'region.json', blob }]);
    }
    const started = await api.startJob(value.id);
    job.value = { ...value, state: started.state };
    await follow(value.id);
  } catch (error) {
    trouble.value = (error as Error).message;
  }
}

let following = new AbortController();
const againMs = 1000;

/** Shows a job until it has ended; also when the service is restarted meanwhile. */
async function follow(id: string): Promise<void> {
  following.abort();
  following = new AbortController();
  const { signal: until } = following;
  while (!until.aborted) {
    try {
      for await (const now of api.jobEvents(id, until)) job.value = now;
      trouble.value = undefined;
    } catch (error) {
      if (until.aborted) return;
      const { status, message } = error as RequestError;
      if (status === 404) return giveUp(error as Error);
      trouble.value = message ?? String(error);
    }
    const { value } = job;
    if (value && hasEnded(value)) {
      if (value.state !== 'done') await giveUp(value.error ? new Error(value.error) : undefined);
      return;
    }
    await new Promise((resolve) => setTimeout(resolve, againMs));
  }
}

/** Cancels what is being made, and keeps the photos in the page. */
export async function cancel(): Promise<void> {
  following.abort();
  await giveUp(undefined);
}

/** Makes the detector once more, without photos that the others do not explain. */
export async function withoutDoubtful(): Promise<void> {
  trouble.value = undefined;
  try {
    const started = await api.distill(name.value, {
      add: true,
      dropDoubtful: true,
      ...askedRate(),
    });
    job.value = withoutPhotos(started);
    await follow(started.id);
  } catch (error) {
    trouble.value = (error as Error).message;
  }
}

/** Goes to the photos with the new detector, and scores the defective ones. */
export function tryIt(): void {
  detectorName.value = name.value;
  trialThreshold.value = undefined;
  location.hash = '#/inspect';
  const photos = defective.value.map(({ name, file }) => ({ name, blob: file }));
  if (photos.length > 0) addPhotos(photos);
  startOver();
}

/** Chooses whether photos are added to a detector that is there, and learns how many it has. */
export function setAddition(wanted: boolean): void {
  isAddition.value = wanted;
  knownPhotos.value = 0;
  if (!wanted) return;
  void api.detector(name.value).then(
    ({ manifest }) => {
      knownPhotos.value = manifest.data.images;
    },
    () => undefined,
  );
}

/** Begins with another detector. */
export function startOver(): void {
  following.abort();
  for (const { thumbnail } of candidates.value) if (thumbnail) URL.revokeObjectURL(thumbnail);
  candidates.value = [];
  region.value = undefined;
  job.value = undefined;
  isAddition.value = false;
  name.value = '';
  trouble.value = undefined;
}
