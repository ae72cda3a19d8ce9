/** The check of a model that a caller gives, who may write JavaScript. */
import { checkValue, objectWith } from '../base/check-options.ts';
import type { Model } from './read.ts';

const modelSchema = objectWith('a model that was read or built', 'graph', 'opsetImport', 'metadataProps');

/** @throws UsageError if what a caller gave as a model is none */
export function checkModelArgument(model: Model): void {
  checkValue('The model', modelSchema, model);
}
