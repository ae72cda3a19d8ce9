/** Augmentation moves boxes together with the objects that they surround. */
import fc from 'fast-check';
import { expect, test } from 'vitest';
import { parsePreprocessing } from '../data/preprocessing.ts';
import { augment, chooseAugmentation, NO_AUGMENTATION } from './augment.ts';

const preprocessing = parsePreprocessing({ size: { shortest_edge: 48, longest_edge: 64 } }, 'the test');
const placement = { canvas: { width: 64, height: 48 }, enlarge: false, preprocessing };

/** A black image with one white rectangle. */
function imageWith(width: number, height: number, [x, y, w, h]: readonly [number, number, number, number]) {
  const pixels = new Uint8Array(width * height * 3);
  for (let row = y; row < y + h; row++) pixels.fill(255, (row * width + x) * 3, (row * width + x + w) * 3);
  return { width, height, pixels };
}

/** The box of the white pixels, as (x, y, width, height). */
function whiteBox({ width, height, pixels }: { width: number; height: number; pixels: Uint8Array }) {
  const xs: number[] = [];
  const ys: number[] = [];
  for (let y = 0; y < height; y++)
    for (let x = 0; x < width; x++)
      if ((pixels[(y * width + x) * 3] ?? 0) > 127) {
        xs.push(x);
        ys.push(y);
      }
  const [left, top] = [Math.min(...xs), Math.min(...ys)];
  return [left, top, Math.max(...xs) - left + 1, Math.max(...ys) - top + 1];
}

test('the box surrounds the white pixels after any augmentation', async () => {
  await fc.assert(
    fc.asyncProperty(fc.integer({ min: 0, max: 2 ** 30 }), fc.boolean(), async (seed, mirror) => {
      let state = seed;
      const random = () => {
        state = (Math.imul(state, 1664525) + 1013904223) >>> 0;
        return state / 2 ** 32;
      };
      const box = [30, 20, 24, 16] as const;
      const strength = { mirror: mirror ? 1 : 0, crop: 0.7, smallest: 0.6, colour: 0 };
      const changes = chooseAugmentation(strength, random);
      const { image, labels } = await augment(imageWith(96, 64, box), [{ box, category: 1 }], changes, {
        canvas: { width: 128, height: 96 },
        enlarge: true,
        preprocessing,
      });
      expect(image.width).toBeLessThanOrEqual(128);
      expect(image.height).toBeLessThanOrEqual(96);
      const [label] = labels;
      if (!label) return;
      const seen = whiteBox(image);
      // Edges between pixels are drawn to the nearest one.
      for (const [index, value] of label.box.entries()) expect(Math.abs(value - (seen[index] ?? -9))).toBeLessThan(2.1);
    }),
    { numRuns: 60 },
  );
});

test('without augmentation the image does not change, and a box that is cut away is no label', async () => {
  const image = imageWith(64, 48, [0, 0, 8, 8]);
  const label = { box: [0, 0, 8, 8] as const, category: 3 };
  const same = await augment(image, [label], NO_AUGMENTATION, placement);
  expect(same).toEqual({ image, labels: [label] });
  const crop = { left: 0.5, top: 0.5, width: 0.5, height: 0.5 };
  const cut = await augment(image, [label], { ...NO_AUGMENTATION, crop }, placement);
  expect(cut.labels).toEqual([]);
});
