import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { splitDataset } from './split-dataset.ts';

const datasetOf = (count: number) => ({
  images: Array.from({ length: count }, (_, id) => ({ id, file_name: `${id}.jpg`, width: 8, height: 8 })),
  annotations: Array.from({ length: count }, (_, id) => ({
    id,
    image_id: id,
    category_id: 1,
    bbox: [0, 0, 1, 1] as [number, number, number, number], // a tuple, as the data set has
    area: 1,
    iscrowd: 0 as const,
  })),
  categories: [{ id: 1, name: 'thing' }],
  pathOf: ({ file_name }: { file_name: string }) => file_name,
});

describe('splitDataset', () => {
  test('gives two parts that are not empty, have no common image, and are all images together', () => {
    fc.assert(
      fc.property(
        fc.integer({ min: 2, max: 60 }),
        fc.double({ min: 0.01, max: 0.99, noNaN: true }),
        fc.nat(),
        (count, fraction, seed) => {
          const { calibration, scoring } = splitDataset(datasetOf(count), fraction, seed);
          expect(Math.min(calibration.images.length, scoring.images.length)).toBeGreaterThan(0);
          const ids = [...calibration.images, ...scoring.images].map(({ id }) => id);
          expect(ids.toSorted((a, b) => a - b)).toEqual(datasetOf(count).images.map(({ id }) => id));
          for (const { images, annotations } of [calibration, scoring])
            expect(annotations.map(({ image_id }) => image_id)).toEqual(images.map(({ id }) => id));
        },
      ),
    );
  });

  test.each([Number.NaN, 0, 1, -0.5, Number.POSITIVE_INFINITY])('refuses the fraction %s', (fraction) => {
    expect(() => splitDataset(datasetOf(10), fraction, 0)).toThrow('`setAside` must be between 0 and 1');
  });

  test('gives the same parts for the same seed', () => {
    const ids = (seed: number) => splitDataset(datasetOf(40), 0.3, seed).calibration.images.map(({ id }) => id);
    expect(ids(7)).toEqual(ids(7));
    expect(ids(7)).not.toEqual(ids(8));
  });
});
