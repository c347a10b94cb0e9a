/** Scores the images of a task, and writes their rows. */
import { filesAtOnce, workAhead } from '../files/ahead.js';
import { describeError } from '../files/explain.js';
import { MissingFileError, type Storage } from '../files/storage.js';
import { ImageError } from '../imaging/index.js';
import type { DetectorRepository } from '../repository/index.js';
import { type ScoringPipeline, scoreOf } from '../scoring/index.js';
import { noteUnreadable } from './row-folder.js';
import { encodeRows, type Row } from './rows.js';
import type { ScoreTask } from './tasks.js';

interface Scoring {
  readonly repository: DetectorRepository;
  readonly pipeline: ScoringPipeline;
  readonly storage: Storage;
}

/**
 * Scores and writes all images of a task, each in its row: also an image that cannot be read.
 * @param onImage called after each image.
 * @throws Error if a disk or a network fails; RepositoryError if there is no such detector.
 */
export async function runScoreTask(
  task: ScoreTask,
  { repository, pipeline, storage }: Scoring,
  onImage: () => void,
): Promise<{ readonly rows: Row[]; readonly unreadable: number }> {
  const detector = await repository.acquire(task.detector, task.version);
  const rows: Row[] = [];
  const score = async (image: string): Promise<Row> => {
    const common = { image, detector: task.detector, version: detector.version };
    try {
      const bytes = await storage.read(image);
      return { ...common, ...scoreOf(await pipeline.score({ detector, image: bytes })) };
    } catch (error) {
      // What is wrong with a file is wrong tomorrow; what is wrong with a disk or a network may pass.
      if (!(error instanceof ImageError || error instanceof MissingFileError)) throw error;
      return { ...common, error: describeError(error) };
    }
  };
  for await (const row of workAhead(task.images, filesAtOnce, score)) {
    rows.push(row);
    onImage();
  }
  const unreadable = rows.filter((row) => 'error' in row).length;
  // Before the rows: they say that the task is done.
  await noteUnreadable(storage, task.out, unreadable);
  await storage.write(task.out, encodeRows(rows, task.format));
  return { rows, unreadable };
}
