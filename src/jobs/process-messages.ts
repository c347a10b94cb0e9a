/** What the service and the process of a job tell each other. */
import type { JobProgress } from './job.js';

/** What to make. Paths are absolute. */
export interface JobTask {
  /** Folder of the photos; none if photos are only taken back. */
  readonly photos: string | undefined;
  /** Folder of the new detector. */
  readonly out: string;
  /** Folder of the version that the photos are added to, or taken back from. */
  readonly addTo: string | undefined;
  readonly remove: readonly string[];
  readonly region: string | undefined;
  readonly groupBy: string | undefined;
  readonly fit: 'stretch' | 'letterbox' | 'crop' | undefined;
  readonly dropDoubtful: boolean;
  readonly falseAlarmRate: number | undefined;
  readonly experts: readonly string[];
  readonly provider: 'cpu' | 'cuda';
}

export type FromProcess =
  | { readonly kind: 'progress'; readonly progress: JobProgress }
  | { readonly kind: 'warning'; readonly message: string }
  | {
      readonly kind: 'doubtful';
      readonly photos: readonly { readonly name: string; readonly score: number }[];
    }
  | { readonly kind: 'done' }
  | {
      readonly kind: 'failed';
      readonly message: string;
      /** Whether a disk or the system failed: the same photos may do tomorrow. */
      readonly mayPass: boolean;
    };
