/** `compress` draws the images in which quantization loses and gains most objects. */
import { join } from 'node:path';
import { expect, test } from 'vitest';
import { packageRoot } from '../base/package-root.ts';
import { readDataset } from '../data/datasets/read-dataset.ts';
import { findChange } from '../evaluate/errors/found-objects.ts';
import { namedErrors } from '../report/named-errors.ts';
import type { VariantErrors } from '../report/variants.ts';
import { imagesToShow } from './compress-judgement.ts';

test('the images that are drawn are those in which quantization loses most objects, then those with most objects', async () => {
  const dataset = await readDataset(join(packageRoot, 'assets/shapes/val'));
  const detections = dataset.annotations.map(({ image_id, category_id, bbox }) => {
    return { image_id, category_id, bbox, score: 0.5 };
  });
  const objectsIn = (id: number) => dataset.annotations.filter(({ image_id }) => image_id === id).length;
  const most = dataset.images.toSorted((a, b) => objectsIn(b.id) - objectsIn(a.id) || a.id - b.id);
  // One image with few objects loses all of them, and nothing else changes.
  const lost = dataset.images.find(({ id }) => objectsIn(id) === 2)?.id;
  const change = findChange(
    dataset,
    detections,
    detections.filter(({ image_id }) => image_id !== lost),
    0.35,
  );
  const names = {
    categories: new Map(dataset.categories.map(({ id, name }) => [id, name])),
    images: new Map(dataset.images.map(({ id, file_name }) => [id, file_name])),
  };
  const errors = { ...namedErrors({ confusions: [] }, change, names) } as VariantErrors; // of which the changes are read
  const drawn = imagesToShow(dataset, [errors]).map(({ id }) => id);
  expect(drawn).toEqual([lost, ...most.map(({ id }) => id).filter((id) => id !== lost)].slice(0, drawn.length));
});
