/** Refuses options that one form of a command takes and another form of it would ignore. */
import type { CommandUnknownOpts } from '@commander-js/extra-typings';
import { UsageError } from '../base/errors.ts';

/**
 * @param used the names of the options that have an effect in this form of the command
 * @param form the option, or the lack of it, that makes this form, as in "with --merge"
 * @throws UsageError if another option was given
 */
export function refuseUnusedOptions(command: CommandUnknownOpts, used: readonly string[], form: string): void {
  const unused = command.options.find((option) => {
    const name = option.attributeName();
    return !used.includes(name) && command.getOptionValueSource(name) === 'cli';
  });
  if (unused) throw new UsageError(`${unused.long} has no effect ${form}; leave it out.`);
}
