/** An unfinished distillation on disk: a folder next to the new detector, replaced as a whole. */
import { readdir, readFile, rm } from 'node:fs/promises';
import { join } from 'node:path';
import { describeError } from '../files/explain.js';
import { makeFolder } from '../files/folders.js';
import { replaceFile } from '../files/replace-file.js';
import { readSafetensors, readSafetensorsMetadata, writeSafetensors } from '../weights/safetensors.js';
import type { TrainingState } from './training.js';

/** All settings that the result depends on; a run resumes only if all of them are equal. */
export type CheckpointSettings = Readonly<Record<string, string | number>>;

const stateFile = 'state.safetensors';

/** The checkpoint cannot be resumed; the message says why and what to do. */
export class CheckpointError extends Error {
  override readonly name = 'CheckpointError';
}

/** Returns the folder of a detector's checkpoint. @param detector an absolute path. */
export function checkpointFolder(detector: string): string {
  return `${detector}.checkpoint`;
}

/** Sum of the losses of the epoch's steps so far, so that its mean survives an interruption. */
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
  /** Training time so far. */
  readonly seconds: number;
  readonly epochSum: EpochSum;
}

/** Writes a checkpoint. An existing one is replaced only once the new one is complete. */
export async function writeCheckpoint(
  folder: string,
  settings: CheckpointSettings,
  { state, seconds, epochSum }: Checkpoint,
): Promise<void> {
  await makeFolder(folder);
  const file: CheckpointFile = {
    schema: 'mkd.checkpoint/1',
    settings,
    step: state.step,
    seconds,
    epochSum,
  };
  // One file, so that the rename replaces state and settings together.
  const bytes = writeSafetensors(state.tensors, { checkpoint: JSON.stringify(file) });
  await replaceFile(join(folder, stateFile), bytes);
}

export async function hasCheckpoint(folder: string): Promise<boolean> {
  return (await entriesOf(folder)).includes(stateFile);
}

/**
 * Checks that a run can start, or resume, with what is in its checkpoint folder.
 * @param folds whether the run is cross-fitted.
 * @throws CheckpointError if there is nothing to resume, the checkpoint differs in the use of folds, or a new run would
 * overwrite it.
 */
export async function checkFolder(folder: string, resume: boolean, folds: boolean): Promise<void> {
  const found = await checkpointKind(folder);
  if (resume && !found) {
    throw new CheckpointError(`there is no checkpoint in ${folder}; omit --resume to start a new run`);
  }
  if (!resume && found) {
    throw new CheckpointError(
      `${folder} has the checkpoint of an interrupted run; continue with --resume, or remove the folder to start over`,
    );
  }
  if (resume && (found === 'folds') !== folds) {
    const [before, now] = found === 'folds' ? ['with', 'without'] : ['without', 'with'];
    throw new CheckpointError(
      `the checkpoint was made ${before} --folds, now it is ${now}; use the same settings, or remove ${folder} to start over`,
    );
  }
}

/** Returns what is in a checkpoint folder: a cross-fitted run, the state of a single cloner, or nothing. */
export async function checkpointKind(folder: string): Promise<'folds' | 'state' | undefined> {
  const entries = await entriesOf(folder);
  if (entries.some((name) => name.startsWith('fold'))) return 'folds';
  return entries.includes(stateFile) ? 'state' : undefined;
}

async function entriesOf(folder: string): Promise<string[]> {
  return readdir(folder).catch((error: NodeJS.ErrnoException) => {
    if (error.code === 'ENOENT') return [];
    throw new CheckpointError(`the checkpoint cannot be read: ${describeError(error, folder)}`);
  });
}

/** Reads a checkpoint. @throws CheckpointError if it is unreadable or was made with other settings. */
export async function readCheckpoint(folder: string, settings: CheckpointSettings): Promise<Checkpoint> {
  const path = join(folder, stateFile);
  const bytes = await readFile(path).catch((error: unknown) => {
    throw new CheckpointError(`the checkpoint cannot be read: ${describeError(error, path)}`);
  });
  const file = contentsOf(bytes);
  if (file?.schema !== 'mkd.checkpoint/1' || !file.settings || !file.epochSum || file.step === undefined) {
    throw new CheckpointError(`${path} is not a checkpoint of this version; remove it to start over`);
  }
  checkSettings(file.settings, settings);
  return {
    state: { step: file.step, tensors: readSafetensors(bytes) },
    seconds: file.seconds ?? 0,
    epochSum: file.epochSum,
  };
}

function contentsOf(bytes: Uint8Array): Partial<CheckpointFile> | undefined {
  try {
    return JSON.parse(readSafetensorsMetadata(bytes).checkpoint ?? '{}') as Partial<CheckpointFile>;
  } catch {
    return undefined;
  }
}

/** @throws CheckpointError naming a setting that differs. */
export function checkSettings(before: CheckpointSettings, now: CheckpointSettings): void {
  for (const [name, value] of Object.entries(now)) {
    if (before[name] === value) continue;
    const other = name === 'data' ? 'other images' : `${name} ${before[name]}, now it is ${value}`;
    throw new CheckpointError(
      `the checkpoint was made with ${other}; use the same settings and images, or remove it to start over`,
    );
  }
}

export async function removeCheckpoint(folder: string): Promise<void> {
  await rm(folder, { recursive: true, force: true });
}
