/** The model and the images that come with dino8, so that everything can be tried at once. */
import { join } from 'node:path';
import { packageRoot } from '../base/package-root.ts';

/** A GroundingDINO of 2.2 million parameters, trained on coloured shapes. */
export const bundledModel = join(packageRoot, 'assets', 'nano');
/** 500 images it has not seen, 8 of whose 48 phrases it was never taught. */
export const bundledValidation = join(packageRoot, 'assets', 'shapes', 'val');
/** 256 images for calibration. */
export const bundledCalibration = join(packageRoot, 'assets', 'shapes', 'calib');
