/** The causes of errors, their numbers and what they cost are those that tidecv 1.0.1 gives. */
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { describe, expect, test } from 'vitest';
import { packageRoot } from '../../base/package-root.ts';
import { readAnnotations } from '../../data/datasets/coco-json.ts';
import type { CocoDetection } from '../coco-detection.ts';
import { analyzeErrors, type ErrorAnalysis } from './error-gains.ts';
import { ERROR_CAUSES } from './find-errors.ts';

const folder = join(packageRoot, 'test/fixtures/golden/coco');
const json = (name: string) => JSON.parse(readFileSync(join(folder, `${name}.json`), 'utf8'));

/** The result of tidecv, whose precisions are in percent, for scores rounded to some digits; null for none. */
interface Golden extends ErrorAnalysis {
  readonly digits: number | null;
}

// bench/peers/make_error_golden.py writes errors.json.
const golden: Readonly<Record<string, readonly Golden[]>> = json('errors');
const cases = Object.entries(golden).flatMap(([name, results]) => results.map((expected) => ({ name, expected })));

describe.for(cases)('$name with scores of $expected.digits digits', ({ name, expected }) => {
  test('each figure agrees to 1e-9', async () => {
    const truth = await readAnnotations(join(folder, `${name}_ground_truth.json`));
    const detections = (json(`${name}_detections`) as CocoDetection[]).map((detection) => {
      const { score } = detection;
      // As Python rounds: to the nearest of the decimal numbers.
      return { ...detection, score: expected.digits === null ? score : Number(score.toFixed(expected.digits)) };
    });
    const found = analyzeErrors(truth, detections);
    expect(100 * found.AP50).toBeCloseTo(expected.AP50, 9);
    for (const cause of ERROR_CAUSES) {
      expect(found.causes[cause].count, cause).toBe(expected.causes[cause].count);
      expect(100 * found.causes[cause].gain, cause).toBeCloseTo(expected.causes[cause].gain, 9);
    }
    expect(100 * found.falsePositives).toBeCloseTo(expected.falsePositives, 9);
    expect(100 * found.falseNegatives).toBeCloseTo(expected.falseNegatives, 9);
  });
});
