/** Reads the JSON files that accompany a checkpoint's weights, such as its configuration and its tokenizer. */
import { readJson } from '../../base/files.ts';

/** The tokenizers of the largest vocabularies have a tenth of these bytes. */
const LARGEST_JSON = 1 << 26;

/** Reads one of them, whose content the caller must check. @throws as `readJson` */
export const readCompanion = (path: string): Promise<unknown> => readJson(path, LARGEST_JSON);
