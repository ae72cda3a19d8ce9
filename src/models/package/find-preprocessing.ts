/**
 * Where a checkpoint states how its pictures are prepared: transformers writes preprocessor_config.json until version 4, and
 * processor_config.json with the image processor in it since version 5, which has priority as in transformers.
 */
import { dirname, join, resolve } from 'node:path';
import { exists } from '../../base/files.ts';
import { readCompanion } from './companion-json.ts';

const [NESTED, ALONE] = ['processor_config.json', 'preprocessor_config.json'];

/** The settings of an image processor as a file has them. */
export interface FoundPreprocessing {
  /** The parsed JSON, not yet checked; undefined if no file states the settings. */
  readonly settings: unknown;
  /** How errors name the settings. */
  readonly name: string;
  /** Sentences that a user should see. */
  readonly notices: readonly string[];
}

/**
 * Reads the settings of a checkpoint: from its folder, or else from that of its tokenizer, or else, for a folder, from the one
 * above it, where a training keeps what its checkpoints share.
 *
 * @param source names the checkpoint in errors
 * @param isFolder whether the checkpoint is a folder of Hugging Face's, which should have such a file
 * @param tokenizerFolder the folder of the tokenizer
 * @throws InputError if a file is no JSON
 */
export async function findPreprocessing(
  source: string,
  folder: string,
  { isFolder, tokenizerFolder }: { readonly isFolder: boolean; readonly tokenizerFolder: string },
): Promise<FoundPreprocessing> {
  const beside = await settingsIn(folder);
  if (beside) return { settings: beside.settings, name: `${source}: ${beside.file}`, notices: [] };
  for (const other of [tokenizerFolder, ...(isFolder ? [dirname(resolve(folder))] : [])]) {
    const shared = await settingsIn(other);
    if (shared)
      return {
        settings: shared.settings,
        name: join(other, shared.file),
        notices: [`${source} has no ${ALONE} or ${NESTED}; the ${shared.file} in ${other} is taken.`],
      };
  }
  if (!isFolder) return { settings: undefined, name: source, notices: [] };
  const notice = `${source} has neither ${ALONE} nor ${NESTED}, so images are prepared as for the published models: the shorter side becomes 800 pixels, the longer side at most 1333.`;
  return { settings: undefined, name: source, notices: [notice] };
}

async function settingsIn(folder: string): Promise<{ settings: unknown; file: string } | undefined> {
  const nested = await nestedPreprocessing(folder);
  if (nested !== undefined) return { settings: nested, file: `${NESTED} (image_processor)` };
  const path = join(folder, ALONE);
  return (await exists(path)) ? { settings: await readCompanion(path), file: ALONE } : undefined;
}

/** The settings within processor_config.json; undefined if it does not exist or, as that of version 4, does not hold them. */
export async function nestedPreprocessing(folder: string): Promise<unknown> {
  const path = join(folder, NESTED);
  if (!(await exists(path))) return undefined;
  const processor = await readCompanion(path);
  return typeof processor === 'object' && processor !== null && 'image_processor' in processor
    ? (processor.image_processor ?? undefined)
    : undefined;
}
