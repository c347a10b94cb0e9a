/** The linear cloner in closed form, against fitting again without each good image. */
import t from 'tap';
import { Products } from '../../src/distillation/linear/products.js';
import { type FittedSpan, fitSpan, robustScale } from '../../src/distillation/linear/span-fit.js';
import { randomStream } from '../../src/random/random.js';
import { Device } from '../../src/runtime/index.js';

const device = await Device.open({ provider: 'cpu', threads: 1 });
const products = await Products.open(device);
t.teardown(() => device.close());

const [count, size] = [12, 40];

function vectors(seed: number, many = count): Float32Array[] {
  const random = randomStream(seed, 'vectors');
  return Array.from({ length: many }, () =>
    Float32Array.from({ length: size }, (_, at) => random() * (1 + (at % 5))),
  );
}

/** Returns vectors less their mean, in float32 like the fit. */
function lessMean(of: readonly Float32Array[], { mean }: FittedSpan): Float32Array[] {
  return of.map((vector) => vector.map((value, at) => value - (mean[at] as number)));
}

const dot = (a: ArrayLike<number>, b: ArrayLike<number>): number =>
  Array.from(a).reduce((sum, value, at) => sum + value * (b[at] as number), 0);

/** Solves a symmetric system by Gaussian elimination. */
function solved(matrix: number[][], right: number[]): number[] {
  const rows = matrix.map((row, at) => [...row, right[at] as number]);
  for (const [at, pivot] of rows.entries()) {
    for (const other of rows) {
      if (other === pivot) continue;
      const factor = (other[at] as number) / (pivot[at] as number);
      for (let column = at; column < pivot.length; column++) {
        (other[column] as number) -= factor * (pivot[column] as number);
      }
    }
  }
  return rows.map((row, at) => (row.at(-1) as number) / (row[at] as number));
}

/** What is left of z by these centered vectors: z'z + c - (Z z + c)' (Z Z' + ridge + c)^-1 (Z z + c). */
function residual(known: readonly Float32Array[], z: Float32Array, ridge: number, center: number): number {
  const matrix = known.map((a, row) =>
    known.map((b, column) => dot(a, b) + center + (row === column ? ridge : 0)),
  );
  const right = known.map((a) => dot(a, z) + center);
  return dot(z, z) + center - dot(right, solved(matrix, right));
}

/** The weight of the mean follows from the ridge: both are shares of the mean eigenvalue. */
const centerOf = ({ ridge }: FittedSpan): number => 3000 * ridge;

t.test('what is left of each good image by all others is exact, without fitting again', async (t) => {
  const good = vectors(0);
  const fit = await fitSpan(products, good, count);
  const known = lessMean(good, fit);
  for (const [image, z] of known.entries()) {
    const others = known.filter((_, other) => other !== image);
    const expected = residual(others, z, fit.ridge, centerOf(fit));
    t.ok(Math.abs((fit.leftOut[image] as number) / expected - 1) < 1e-4, `image ${image}`);
  }
});

t.test(
  'what is left of a new image is its length less the directions that the good images have',
  async (t) => {
    const good = vectors(0);
    const fit = await fitSpan(products, good, count);
    const k = fit.kept.length;
    for (const fresh of vectors(1, 3)) {
      const z = fresh.map((value, at) => value - (fit.mean[at] as number));
      let left = dot(z, z) + fit.rest;
      for (let column = 0; column < k; column++) {
        const along = dot(
          z,
          Array.from({ length: size }, (_, at) => fit.basis[at * k + column] as number),
        );
        left -= (fit.kept[column] as number) * along ** 2;
      }
      const expected = residual(lessMean(good, fit), z, fit.ridge, centerOf(fit));
      t.ok(Math.abs(left / expected - 1) < 1e-4, `${left} and ${expected}`);
    }
  },
);

t.test('the directions are orthonormal, and copies among the good images add none', async (t) => {
  const good = vectors(2);
  const fit = await fitSpan(products, [...good, ...good], 100);
  t.equal(fit.kept.length, count - 1);
  const k = fit.kept.length;
  const column = (of: number): number[] =>
    Array.from({ length: size }, (_, at) => fit.basis[at * k + of] as number);
  for (let a = 0; a < k; a++) {
    for (let b = 0; b <= a; b++) {
      t.ok(Math.abs(dot(column(a), column(b)) - (a === b ? 1 : 0)) < 1e-4, `${a}, ${b}`);
    }
  }
});

t.test('with fewer directions, too, it is as if the image had not been learned from', async (t) => {
  const good = vectors(5, 20);
  const most = 6;
  const fit = await fitSpan(products, good, most);
  t.equal(fit.kept.length, most);
  for (const [image, own] of good.entries()) {
    const without = await fitSpan(
      products,
      good.filter((_, other) => other !== image),
      most,
    );
    const z = own.map((value, at) => value - (without.mean[at] as number));
    let left = dot(z, z) + fit.ridge / (good.length - 1);
    for (let column = 0; column < most; column++) {
      const basis = Array.from({ length: size }, (_, at) => without.basis[at * most + column] as number);
      // The same direction with the ridge of all images.
      const kept = without.kept[column] as number;
      const eigenvalue = (kept * without.ridge) / (1 - kept);
      left -= (eigenvalue / (eigenvalue + fit.ridge)) * dot(z, basis) ** 2;
    }
    const found = fit.leftOut[image] as number;
    t.ok(Math.abs(found / left - 1) < 1e-3, `image ${image}: ${found} and ${left}`);
    const share = fit.unexplained[image] as number;
    t.ok(Math.abs(share / (left / dot(z, z)) - 1) < 1e-3, `image ${image}: ${share}`);
  }
});

t.test('the upper deviation ignores the lower half', async (t) => {
  const { median, spread } = robustScale([-1000, -500, 0, 3, 4]);
  t.equal(median, 0);
  t.equal(spread, Math.sqrt(12.5));
});

t.test('images of one part are left out together, exactly as if fitted without the part', async (t) => {
  const good = vectors(3);
  const parts = good.map((_, image) => Math.floor(image / 3));
  const fit = await fitSpan(products, good, count, parts);
  const known = lessMean(good, fit);
  for (const [image, z] of known.entries()) {
    const others = known.filter((_, other) => parts[other] !== parts[image]);
    const expected = residual(others, z, fit.ridge, centerOf(fit));
    t.ok(Math.abs((fit.leftOut[image] as number) / expected - 1) < 1e-4, `image ${image}`);
  }
});

/** What the kept directions of a fit leave of a vector: its length. */
function leftLength(fit: FittedSpan, vector: Float32Array): number {
  const k = fit.kept.length;
  const left = vector.map((value, at) => value - (fit.mean[at] as number));
  const z = left.slice();
  for (let column = 0; column < k; column++) {
    const along = Array.from({ length: size }, (_, at) => fit.basis[at * k + column] as number);
    const share = (fit.kept[column] as number) * dot(z, along);
    for (let at = 0; at < size; at++) (left[at] as number) -= share * (along[at] as number);
  }
  return Math.sqrt(dot(left, left));
}

t.test(
  'maps of good images are as long as if the image, or its part, had not been learned from',
  async (t) => {
    const good = vectors(4);
    for (const each of [1, 3]) {
      const parts = good.map((_, image) => Math.floor(image / each));
      const fit = await fitSpan(products, good, count, parts);
      for (const [image, vector] of good.entries()) {
        const others = good.filter((_, other) => parts[other] !== parts[image]);
        // With the same ridge, which is a share of the mean eigenvalue, both would agree to the last digit.
        const expected = leftLength(await fitSpan(products, others, count), vector);
        const found = (fit.stretch[image] as number) * leftLength(fit, vector);
        t.ok(
          Math.abs(found / expected - 1) < 0.05,
          `image ${image} of parts of ${each}: ${found}, ${expected}`,
        );
      }
    }
  },
);
