/**
 * Starts the longest test files first, so that no worker is left alone with one of them at the end. Vitest remembers how
 * long files took, but a fresh clone has nothing to remember.
 */
import { join } from 'node:path';
import { BaseSequencer, type TestSpecification } from 'vitest/node';
import { packageRoot } from '../src/base/package-root.ts';

/** The files that take more than ten seconds, the longest first. */
const LONGEST = [
  'test/training.test.ts',
  'test/compress.test.ts',
  'test/memory.test.ts',
  'test/cli.test.ts',
  'test/consumer.test.ts',
  'src/models/grounding-dino/training/distillation.test.ts',
  'test/examples.test.ts',
  'src/evaluate/tune.test.ts',
  'src/autodiff/differentiate.test.ts',
  'src/quant/targets/targets.test.ts',
  'src/autodiff/whole-model.test.ts',
  'test/generic-models.test.ts',
  'src/models/specialize.test.ts',
  'src/train/export-trained.test.ts',
  'src/detect/detect.test.ts',
  'src/quant/quantize.test.ts',
  'src/quant/observe/observe.test.ts',
].map((path) => join(packageRoot, path));

/** The order of the test files: those of the list, then the others in vitest's own order. */
export class LongestFirst extends BaseSequencer {
  override async sort(files: TestSpecification[]): Promise<TestSpecification[]> {
    const place = ({ moduleId }: TestSpecification) => LONGEST.indexOf(moduleId);
    const listed = files.filter((file) => place(file) >= 0);
    const others = files.filter((file) => place(file) < 0);
    return [...listed.toSorted((a, b) => place(a) - place(b)), ...(await super.sort(others))];
  }
}
