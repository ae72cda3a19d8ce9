/**
 * The model and the images that everything can be tried on. They are a package of their own, `dino8-demo-data`, so that
 * the users of the library do not download them. In a clone that package is the folder `assets`.
 */
import { existsSync } from 'node:fs';
import { createRequire } from 'node:module';
import { dirname, join } from 'node:path';
import { UsageError } from '../base/errors.ts';
import { packageRoot } from '../base/package-root.ts';

/** The name of the package that holds the model and the images. */
const DATA_PACKAGE = 'dino8-demo-data';

/** The folder of the data: `assets` in a clone, or the installed package. */
function dataFolder(): string {
  const inClone = join(packageRoot, 'assets');
  if (existsSync(join(inClone, 'package.json'))) return inClone;
  try {
    return dirname(createRequire(import.meta.url).resolve(`${DATA_PACKAGE}/package.json`));
  } catch {
    throw new UsageError(
      `The model and the images of the demo are a package of their own, which is not installed beside dino8: add it with \`npm install ${DATA_PACKAGE}\`, or name a model and images of your own.`,
    );
  }
}

/**
 * Returns the folder of the bundled checkpoint: a GroundingDINO of 2.2 million parameters, trained on coloured shapes.
 *
 * @throws UsageError if the package with the data is not installed
 * @example
 * const model = await readPackage(bundledModel());
 */
export function bundledModel(): string {
  return join(dataFolder(), 'nano');
}

/**
 * Returns the folder of 500 labelled images that the bundled model has not seen. It was never taught 8 of their 48
 * phrases.
 *
 * @throws UsageError if the package with the data is not installed
 * @example
 * const { figures } = await evaluate({ model: bundledModel(), dataset: bundledValidation() });
 */
export function bundledValidation(): string {
  return join(dataFolder(), 'shapes', 'val');
}

/**
 * Returns the folder of 256 labelled images for calibration and training.
 *
 * @throws UsageError if the package with the data is not installed
 * @example
 * const dataset = await readDataset(bundledCalibration());
 */
export function bundledCalibration(): string {
  return join(dataFolder(), 'shapes', 'calib');
}
