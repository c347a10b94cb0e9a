/** Training of a cloner: averages of its states. */
import t from 'tap';
import { embeddedExperts } from '../../src/detector/index.js';
import { paperRecipe, planFor } from '../../src/distillation/recipe.js';
import { initialState, Training, type TrainingState } from '../../src/distillation/training.js';
import { readExpertCard, runningStatistics, trainableParameters } from '../../src/networks/index.js';
import { normal, randomStream } from '../../src/random/random.js';
import { float32, uint8 } from '../../src/runtime/index.js';
import { openTestDevice } from '../support/run-graph.js';

t.test('the cloner is the mean of the averaged states, also after a checkpoint', async (t) => {
  const device = await openTestDevice();
  t.teardown(() => device.close());
  const recipe = { ...paperRecipe, inputSize: 32 };
  const plan = planFor(recipe, await readExpertCard(embeddedExperts.vgg16));
  const random = randomStream(0, 'activations');
  const activations = plan.trainingLayers.map(({ name, channels, stride }) => {
    const dims = [2, channels, 32 / stride, 32 / stride];
    const count = dims.reduce((product, size) => product * size, 1);
    return [
      `expert.${name}`,
      float32(
        dims,
        Float32Array.from({ length: count }, () => Math.abs(normal(random))),
      ),
    ];
  });
  const batch = {
    image: uint8(
      [2, 32, 32, 3],
      Uint8Array.from({ length: 2 * 32 * 32 * 3 }, () => 255 * random()),
    ),
    ...Object.fromEntries(activations),
  };
  const training = await Training.open(device, plan, initialState(plan.layout, random));
  const states: TrainingState['tensors'][] = [];
  for (let step = 0; step < 2; step++) {
    await training.train(batch);
    states.push(training.state().tensors);
    training.average();
  }
  const resumed = await Training.open(device, plan, training.state());
  await resumed.train(batch);
  states.push(resumed.state().tensors);
  resumed.average();
  for (const [name, { data }] of resumed.cloner()) {
    const at = (state: number, entry: number) => states[state]?.get(name)?.data[entry] as number;
    const mean = (at(0, 5) + at(1, 5) + at(2, 5)) / 3;
    t.ok(Math.abs((data[5] as number) - mean) <= 1e-5 * Math.max(1, Math.abs(mean)), name);
  }
  const own = [...trainableParameters(plan.layout), ...runningStatistics(plan.layout)];
  t.strictSame([...resumed.cloner().keys()].sort(), own.map(({ name }) => name).sort());
});
