/** Whether parts lie in any orientation is told; of aligned ones it is not, as the tests of the command line see. */
import { mkdir, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import sharp from 'sharp';
import t from 'tap';
import { distill } from '../../src/distillation/index.js';
import { samplePhotos } from '../support/photos.js';
import { testProvider } from '../support/provider.js';

t.test('parts that lie in any orientation are told of', async (t) => {
  const folder = t.testdir();
  const photos = join(folder, 'photos');
  await mkdir(photos);
  for (const [index, photo] of (await samplePhotos(12)).entries()) {
    const turned = sharp(photo).rotate(90 * (index % 4));
    await writeFile(join(photos, `${index}.png`), await turned.png().toBuffer());
  }
  const warnings: string[] = [];
  await distill({
    dataset: photos,
    out: join(folder, 'detector'),
    inputSize: 64,
    keepPhotos: false,
    device: { provider: testProvider },
    onWarning: (message) => warnings.push(message),
  });
  t.ok(warnings.some((message) => message.includes('any orientation')));
});
