/** A distillation on a device of its own, and what is left of it if it is interrupted. */
import type { Manifest } from '../detector/index.js';
import { Device } from '../runtime/index.js';
import type { DistillOptions } from './settings.js';

/** The run was aborted; `checkpoint` is its folder, if training had begun. */
export class DistillationInterrupted extends Error {
  override readonly name = 'DistillationInterrupted';

  constructor(readonly checkpoint: string | undefined) {
    super(
      checkpoint
        ? `interrupted; the checkpoint is in ${checkpoint}, continue with --resume`
        : 'interrupted; there is nothing to resume, and nothing was written',
    );
  }
}

/** @param saved returns the checkpoint that an interrupted run leaves. @throws DistillationInterrupted */
export async function onDevice(
  { device: settings, signal }: Pick<DistillOptions, 'device' | 'signal'>,
  run: (device: Device) => Promise<Manifest>,
  saved: () => Promise<string | undefined> = async () => undefined,
): Promise<Manifest> {
  const device = await Device.open(settings);
  try {
    return await run(device);
  } catch (error) {
    if (error !== signal?.reason) throw error;
    throw new DistillationInterrupted(await saved());
  } finally {
    await device.close();
  }
}
