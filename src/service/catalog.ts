/** The detectors of a service: found in a folder, verified by their self-test, warmed up. */
import { readdir } from 'node:fs/promises';
import { join } from 'node:path';
import {
  DetectorError,
  detectorsIn,
  type LoadedDetector,
  readDetector,
  runSelfTest,
  ScoringEngine,
} from '../detector/index.js';
import type { DeviceOptions, Provider, SupervisionOptions } from '../runtime/index.js';
import { ProblemError } from './problems.js';

export interface CatalogOptions {
  /** Folder whose subfolders are detectors. */
  readonly detectors: string;
  readonly experts: readonly string[];
  readonly device: DeviceOptions;
}

export interface RefusedDetector {
  readonly name: string;
  readonly reason: string;
}

export interface CatalogLog {
  info(details: object, message: string): void;
  warn(details: object, message: string): void;
  error(details: object, message: string): void;
}

export class Catalog {
  private constructor(
    readonly engine: ScoringEngine,
    readonly detectors: ReadonlyMap<string, LoadedDetector>,
    readonly refused: readonly RefusedDetector[],
  ) {}

  /**
   * Opens the device, then reads, verifies and warms up every detector. One that fails is refused by name.
   * @throws DetectorError when there is none to serve; RuntimeError when the provider is not to be had.
   */
  static async open(
    options: CatalogOptions,
    log: CatalogLog,
    onReplace: NonNullable<SupervisionOptions['onReplace']> = () => {},
  ): Promise<Catalog> {
    const engine = await ScoringEngine.open(options.device, {
      onReplace: (cause) => {
        log.error({ cause }, 'the inference worker is replaced');
        onReplace(cause);
      },
    });
    log.info({ provider: engine.provider }, engine.note ?? `inference runs on ${engine.provider}`);
    const detectors = new Map<string, LoadedDetector>();
    const refused: RefusedDetector[] = [];
    try {
      for (const name of await detectorNames(options.detectors)) {
        try {
          const detector = await readDetector(join(options.detectors, name), options.experts);
          const report = await runSelfTest(engine, detector);
          await engine.warmUp(detector);
          detectors.set(name, detector);
          log.info({ detector: name, version: detector.version, ...report }, 'detector passed its self-test');
        } catch (error) {
          const reason = error instanceof Error ? error.message : String(error);
          refused.push({ name, reason });
          log.error({ detector: name, reason }, 'detector refused');
        }
      }
      if (detectors.size === 0) {
        const why = refused.map(({ name, reason }) => `${name}: ${reason}`).join('; ');
        throw new DetectorError(
          `there is no detector to serve in ${options.detectors}${why ? ` (${why})` : ''}; distill one with mkd distill`,
        );
      }
    } catch (error) {
      await engine.close();
      throw error;
    }
    return new Catalog(engine, detectors, refused);
  }

  get provider(): Provider {
    return this.engine.provider;
  }

  /** @throws ProblemError `unknown-detector` naming those there are. */
  get(name: string): LoadedDetector {
    const detector = this.detectors.get(name);
    if (detector) return detector;
    const refusal = this.refused.find((refused) => refused.name === name);
    if (refusal) {
      throw new ProblemError('unknown-detector', `detector '${name}' was refused: ${refusal.reason}`);
    }
    const known = [...this.detectors.keys()].map((key) => `'${key}'`).join(', ');
    throw new ProblemError('unknown-detector', `there is no detector '${name}'; there are ${known}`);
  }

  async close(): Promise<void> {
    await this.engine.close();
  }
}

async function detectorNames(folder: string): Promise<string[]> {
  await readdir(folder).catch((error: Error) => {
    throw new DetectorError(`the folder of detectors cannot be read: ${error.message}`);
  });
  return detectorsIn(folder);
}
