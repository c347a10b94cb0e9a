/**
 * Several workers as one device: a session is opened on every worker, and a run goes to the least busy one. On the CPU
 * the workers share the cores; on CUDA each graphics card has this number of workers.
 */
import { cores, quotaCores } from '../files/cores.js';
import type { DeviceOptions, Runner, RunResult, Session } from './device.js';
import type { ModelRecipe } from './messages.js';
import type { Provider } from './onnxruntime.js';
import { SupervisedDevice, type SupervisionOptions } from './supervised-device.js';

export interface PoolOptions extends Omit<DeviceOptions, 'cudaDevice'> {
  /** Workers for each device; default 1. */
  readonly workers?: number;
  /** Numbers of the graphics cards; default 0. The CPU is one device. */
  readonly cudaDevices?: readonly number[];
}

interface Member {
  readonly device: SupervisedDevice;
  /** Number of unfinished runs. */
  running: number;
}

export class DevicePool implements Runner {
  #replacements = 0;

  private constructor(private readonly members: readonly [Member, ...Member[]]) {}

  /** Starts all workers. @throws RuntimeError if the provider is unavailable. */
  static async open(options: PoolOptions = {}, supervision: SupervisionOptions = {}): Promise<DevicePool> {
    const { workers = 1, cudaDevices = [0], provider = 'auto', threads = 0, ...others } = options;
    const share = Math.max(1, Math.floor(cores() / workers));
    // By itself onnxruntime takes all cores of the machine, whatever the quota of the container.
    const isShared = workers > 1 || quotaCores() !== undefined;
    const perWorker = threads === 0 && isShared ? share : threads;
    const open = (cudaDevice: number | undefined, known: Provider | 'auto') =>
      SupervisedDevice.open(
        { ...others, provider: known, threads: perWorker, cudaDevice: cudaDevice ?? 0 },
        supervision,
      );
    // The first worker shows which provider is available; the others use the same.
    const first = await open(cudaDevices[0], provider);
    const devices = first.provider === 'cuda' ? cudaDevices : [undefined];
    const wanted = devices.flatMap((device) => Array.from({ length: workers }, () => device)).slice(1);
    const settled = await Promise.allSettled(wanted.map((device) => open(device, first.provider)));
    const opened = settled.flatMap((other) => (other.status === 'fulfilled' ? [other.value] : []));
    const refused = settled.find((other) => other.status === 'rejected');
    if (refused) {
      await Promise.all([first, ...opened].map((device) => device.close()));
      throw refused.reason;
    }
    const member = (device: SupervisedDevice): Member => ({ device, running: 0 });
    return new DevicePool([member(first), ...opened.map(member)]);
  }

  /** Maximum number of runs at once. */
  get size(): number {
    return this.members.length;
  }

  get provider(): Provider {
    return this.members[0].device.provider;
  }

  get note(): string | undefined {
    return this.members[0].device.note;
  }

  /** Whether at least one worker is running. */
  get alive(): boolean {
    return this.members.some(({ device }) => device.alive);
  }

  async session(model: Uint8Array | ModelRecipe): Promise<Session> {
    const tried = await Promise.allSettled(
      this.members.map(async (member) => ({ member, session: await member.device.session(model) })),
    );
    const opened = tried.flatMap((one) => (one.status === 'fulfilled' ? [one.value] : []));
    const failed = tried.find((one) => one.status === 'rejected');
    if (failed) {
      // A session on some of the workers only would stay open for ever.
      await Promise.allSettled(opened.map(({ session }) => session.close()));
      throw failed.reason;
    }
    return {
      run: (feeds, constants) => this.#run(opened, (session) => session.run(feeds, constants)),
      close: async () => {
        await Promise.all(opened.map(({ session }) => session.close()));
      },
    };
  }

  /** Replaces one worker; successive calls take turns. */
  async replace(): Promise<void> {
    const member = this.members[this.#replacements++ % this.members.length];
    await member?.device.replace();
  }

  async close(): Promise<void> {
    await Promise.all(this.members.map(({ device }) => device.close()));
  }

  async #run(
    opened: readonly { readonly member: Member; readonly session: Session }[],
    run: (session: Session) => Promise<RunResult>,
  ): Promise<RunResult> {
    const load = ({ member }: { readonly member: Member }): number =>
      member.running + (member.device.alive ? 0 : 1000);
    const [{ member, session }] = [...opened].sort((a, b) => load(a) - load(b)) as [(typeof opened)[number]];
    member.running++;
    try {
      return await run(session);
    } finally {
      member.running--;
    }
  }
}
