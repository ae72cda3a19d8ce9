/** The layout of a command's help: required options stand in the usage and come first. */
import type { CommandUnknownOpts } from '@commander-js/extra-typings';

const REQUIRED = 'Required options:';

/** Marks the required options of a command in its usage and in the list of options. */
export function layOutHelp(command: CommandUnknownOpts): void {
  const required = command.options.filter(({ mandatory }) => mandatory);
  for (const option of required) option.helpGroup(REQUIRED);
  const names = command.registeredArguments.map((argument) => {
    const name = argument.variadic ? `${argument.name()}...` : argument.name();
    return argument.required ? `<${name}>` : `[${name}]`;
  });
  const flags = required.map(({ flags: text }) => text.replace(/^-\w, /, ''));
  command.usage([...names, ...flags, '[options]'].join(' '));
  command.configureHelp({
    groupItems: (unsorted, visible, group) => {
      const groups = new Map<string, typeof visible>();
      const order = [...(required.length > 0 ? [REQUIRED] : []), ...unsorted.map(group)];
      for (const name of order) groups.set(name, []);
      for (const item of visible) groups.get(group(item))?.push(item);
      return new Map([...groups].filter(([, items]) => items.length > 0));
    },
  });
}
