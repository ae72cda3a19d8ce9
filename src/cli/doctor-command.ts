import { Command } from '@commander-js/extra-typings';
import { examineMachine } from '../pipeline/doctor-step.ts';
import { examples } from './examples.ts';
import { print, printJson } from './output.ts';
import { jsonOption } from './shared-options.ts';

/** `dino8 doctor` */
export const doctorCommand = () =>
  new Command('doctor')
    .description('Show the versions, CPU features, kernels and execution providers of this machine.')
    .addOption(jsonOption())
    .addHelpText('after', examples('dino8 doctor'))
    .action(async ({ json }) => {
      const report = await examineMachine();
      if (json) return printJson(report);
      for (const [key, value] of Object.entries(report)) print(`${key.padEnd(20)} ${describe(value)}`);
    });

function describe(value: unknown): string {
  if (Array.isArray(value)) return value.join(' ');
  const indent = `\n${' '.repeat(21)}`;
  if (typeof value === 'object' && value !== null)
    return Object.entries(value)
      .map(([key, entry]) => `${key.padEnd(9)} ${entry}`)
      .join(indent);
  return String(value).replaceAll('\n', indent);
}
