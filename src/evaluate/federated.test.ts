/** The federated protocol is compared with the package lvis 0.5.3, by which LVIS is scored. */
import { readFileSync, writeFileSync } from 'node:fs';
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { expect, onTestFinished, test } from 'vitest';
import { UsageError } from '../base/errors.ts';
import { packageRoot } from '../base/package-root.ts';
import { readAnnotations } from '../data/datasets/coco-json.ts';
import { score } from '../pipeline/score-step.ts';
import { readDetections } from './detections-file.ts';
import { federatedPrecision } from './federated.ts';

interface Golden {
  readonly truth: object;
  readonly detections: readonly object[];
  readonly figures: readonly number[];
  readonly averagePrecision: Readonly<Record<string, number>>;
}

test('figures agree with the package lvis to 1e-9', async () => {
  const golden: Golden = JSON.parse(
    readFileSync(join(packageRoot, 'test/fixtures/golden/coco/federated.json'), 'utf8'),
  );
  const folder = await mkdtemp(join(tmpdir(), 'dino8-federated-'));
  onTestFinished(() => rm(folder, { recursive: true }));
  const path = (name: string, content: object) => {
    writeFileSync(join(folder, name), JSON.stringify(content));
    return join(folder, name);
  };
  const truth = await readAnnotations(path('truth.json', golden.truth));
  const detections = await readDetections(path('detections.json', golden.detections), truth);
  const { figures, averagePrecisionOf } = federatedPrecision(truth, detections);
  const values = Object.entries(figures);
  expect(values).toHaveLength(13);
  for (const [index, [name, value]] of values.entries())
    expect(Math.abs(value - (golden.figures[index] ?? Number.NaN)), name).toBeLessThan(1e-9);
  const scored = await score({ detections, annotations: join(folder, 'truth.json') });
  expect(scored.federated).toEqual(figures);
  for (const [category, value] of Object.entries(golden.averagePrecision))
    expect(Math.abs((averagePrecisionOf.get(Number(category)) ?? Number.NaN) - value), category).toBeLessThan(1e-9);
});

test('labels that are of no federated data set are refused', () => {
  const truth = { images: [{ id: 1, file_name: '1.jpg', width: 4, height: 4 }], annotations: [], categories: [] };
  expect(() => federatedPrecision(truth, [])).toThrow(UsageError);
});
