/** An unfinished distillation on disk: a folder beside the detector to be, replaced as a whole. */
import { mkdir, readFile, rm, stat } from 'node:fs/promises';
import { join } from 'node:path';
import { replaceFile } from '../files/replace-file.js';
import { readSafetensors, readSafetensorsMetadata, writeSafetensors } from '../weights/safetensors.js';
import type { TrainingState } from './training.js';

/** Everything the result depends on; a run resumes only where all of it is equal. */
export type CheckpointSettings = Readonly<Record<string, string | number>>;

/** The checkpoint cannot be resumed; the message says why and what to do. */
export class CheckpointError extends Error {
  override readonly name = 'CheckpointError';
}

/** Where the checkpoint of a detector is kept until it is finished. */
export function checkpointFolder(detector: string): string {
  return `${detector.replace(/\/+$/, '')}.checkpoint`;
}

/** Sum of the losses of the current epoch's steps, so that its mean survives an interruption. */
export interface EpochSum {
  readonly loss: number;
  readonly images: number;
}

interface CheckpointFile {
  readonly schema: 'mkd.checkpoint/1';
  readonly settings: CheckpointSettings;
  readonly step: number;
  readonly seconds: number;
  readonly epochSum: EpochSum;
}

export interface Checkpoint {
  readonly state: TrainingState;
  /** Time spent so far. */
  readonly seconds: number;
  readonly epochSum: EpochSum;
}

/** Writes a checkpoint; one that is there already is replaced only once the new one is whole. */
export async function writeCheckpoint(
  folder: string,
  settings: CheckpointSettings,
  { state, seconds, epochSum }: Checkpoint,
): Promise<void> {
  await mkdir(folder, { recursive: true });
  const file: CheckpointFile = {
    schema: 'mkd.checkpoint/1',
    settings,
    step: state.step,
    seconds,
    epochSum,
  };
  // One file, so that the rename replaces state and settings together.
  const bytes = writeSafetensors(state.tensors, { checkpoint: JSON.stringify(file) });
  const path = stateFile(folder);
  await replaceFile(path, bytes);
}

export async function hasCheckpoint(folder: string): Promise<boolean> {
  return (await stat(stateFile(folder)).catch(() => undefined)) !== undefined;
}

/** @throws CheckpointError where an interrupted run has left something, which a new one would overwrite. */
export async function refuseCheckpoint(folder: string): Promise<void> {
  if ((await stat(folder).catch(() => undefined)) === undefined) return;
  throw new CheckpointError(
    `${folder} holds what an interrupted run has done; continue it with --resume, or remove the folder to start anew`,
  );
}

function stateFile(folder: string): string {
  return join(folder, 'state.safetensors');
}

/** @throws CheckpointError when there is none, or it belongs to other settings. */
export async function readCheckpoint(folder: string, settings: CheckpointSettings): Promise<Checkpoint> {
  const path = stateFile(folder);
  const bytes = await readFile(path).catch(() => {
    throw new CheckpointError(`there is no checkpoint in ${folder}; leave out --resume to start anew`);
  });
  const { checkpoint = '{}' } = readSafetensorsMetadata(bytes);
  const file = JSON.parse(checkpoint) as Partial<CheckpointFile>;
  if (file.schema !== 'mkd.checkpoint/1' || !file.settings || !file.epochSum || file.step === undefined) {
    throw new CheckpointError(`${path} is no checkpoint of this version; remove it to start anew`);
  }
  checkSettings(file.settings, settings);
  return {
    state: { step: file.step, tensors: readSafetensors(bytes) },
    seconds: file.seconds ?? 0,
    epochSum: file.epochSum,
  };
}

/** @throws CheckpointError naming a setting that was another then. */
export function checkSettings(before: CheckpointSettings, now: CheckpointSettings): void {
  for (const [name, value] of Object.entries(now)) {
    if (before[name] === value) continue;
    const other = name === 'data' ? 'other images' : `${name} ${before[name]}, now it is ${value}`;
    throw new CheckpointError(
      `the checkpoint was made with ${other}; use the same settings and images, or remove it to start anew`,
    );
  }
}

export async function removeCheckpoint(folder: string): Promise<void> {
  await rm(folder, { recursive: true, force: true });
}
