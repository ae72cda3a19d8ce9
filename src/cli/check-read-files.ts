/**
 * Files of words, such as those of phrases, are read by the command line itself, so that the steps do not know them as their
 * inputs: no result is written over them either.
 */
import type { OptionValues } from '@commander-js/extra-typings';

/** The options of all commands that name files of words. */
const READ = ['phrasesFile', 'promptsFile', 'seenFile', 'absentFile'];
/** The options of all commands that name results. */
const WRITTEN = ['output', 'out', 'report', 'saveDetections'];

/** @throws UsageError if a result of a command has the path of a file of words, and `overwrite` is not set */
export async function checkReadFiles(options: OptionValues): Promise<void> {
  const pathsOf = (names: readonly string[]): string[] =>
    names
      .flatMap((name): unknown => options[name])
      .filter((value): value is string => typeof value === 'string' && value !== '');
  const inputs = pathsOf(READ);
  // Everything else about the results is checked by the steps, which know more of them.
  if (inputs.length === 0) return;
  // Loaded here, because the command line starts with few modules.
  const { checkOutputs } = await import('../base/output-paths.ts');
  for (const output of pathsOf(WRITTEN))
    await checkOutputs([output], inputs, { makesFolders: true, overwrite: options.overwrite === true });
}
