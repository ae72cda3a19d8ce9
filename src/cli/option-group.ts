/** Options that several commands have together. */
import type { Command, CommandUnknownOpts, Option, OptionValues } from '@commander-js/extra-typings';

/**
 * Returns a function that adds options to a command. Their values have the type `Values`, which is stated, because the compiler
 * takes minutes to infer it from a chain of options for an unknown command.
 *
 * @param create makes the options, anew for each command
 */
export function optionGroup<Values>(create: () => readonly Option[]) {
  return <Arguments extends unknown[], Options extends OptionValues>(
    command: Command<Arguments, Options>,
  ): Command<Arguments, Options & Values> => {
    for (const option of create()) (command as CommandUnknownOpts).addOption(option);
    return command as unknown as Command<Arguments, Options & Values>; // as it is stated
  };
}
