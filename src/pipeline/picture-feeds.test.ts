/** A profile of a model on a picture, for a model that takes any phrases and for one that is made for some. */
import { join } from 'node:path';
import { describe, expect, test } from 'vitest';
import { packageRoot } from '../base/package-root.ts';
import { bundledModel } from '../data/bundled.ts';
import { fixPrompt } from '../detect/fix-prompt.ts';
import { measurePeak } from '../evaluate/machine-peak.ts';
import { profileModel } from '../evaluate/model-profile.ts';
import { detectionOf } from '../models/family.ts';
import { readPackage } from '../models/package/package.ts';
import { bench } from './bench-step.ts';
import { inspect } from './inspect-step.ts';
import { pictureFeeds } from './picture-feeds.ts';

const picture = join(packageRoot, 'assets/shapes/val/000082.jpg');
const source = await readPackage(bundledModel());
const { model: fixed } = await fixPrompt(source, ['white star']);

describe.each([
  ['any phrases', source],
  ['one phrase', fixed],
])('a model for %s', (_, each) => {
  test('is profiled, and its modules and its operators both add up to the whole', async () => {
    const feeds = await pictureFeeds(each, picture, detectionOf(source).blankPrompt(8));
    expect(Object.keys(feeds).toSorted()).toEqual(each.model.graph.input.map(({ name }) => name).toSorted());
    const { modules, operators, total } = await profileModel(each, feeds, { float: 1e9, integer: 4e9 });
    const sum = (rows: readonly { readonly seconds: number }[]) => rows.reduce((all, { seconds }) => all + seconds, 0);
    expect(sum(modules)).toBeCloseTo(total.seconds, 9);
    expect(sum(operators)).toBeCloseTo(total.seconds, 9);
    // The backbone has most of the multiply-adds, and the model is in floats, of which the peak does 10⁹ a second.
    expect(modules.find(({ name }) => name === 'image backbone')?.multiplyAdds).toBeGreaterThan(total.multiplyAdds / 2);
    expect(total.ofPeak).toBeCloseTo(total.multiplyAdds / 1e9 / total.seconds, 6);
    const inspected = await inspect({ model: each, profile: picture });
    expect(inspected.total.seconds).toBeGreaterThan(0);
  });
});

test('the peak of a machine is a rate, and a profile is of the CPU', async () => {
  const { float, integer } = await measurePeak();
  for (const rate of [float, integer]) {
    expect(rate).toBeGreaterThan(1e8);
    expect(rate).toBeLessThan(1e14);
  }
  const options = { models: ['a.onnx'], image: picture, phrases: ['star'], profile: true, device: 'cuda' as const };
  await expect(bench(options)).rejects.toThrow(/`profile` is for the CPU/);
});
