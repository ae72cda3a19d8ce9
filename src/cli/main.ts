/** The command line: finds the command, loads it, runs it, and turns every failure into one sentence and an exit code. */
import { Command, CommanderError, type CommandUnknownOpts } from '@commander-js/extra-typings';
import { Dino8Error, messageOf, withMemoryAdvice } from '../base/errors.ts';
import { packageVersion } from '../base/package-root.ts';
import { printable } from '../base/printable.ts';
import { checkReadFiles } from './check-read-files.ts';
import { noteArguments } from './command-line.ts';
import { COMMANDS, commandName } from './commands.ts';
import { layOutHelp } from './help-format.ts';
import { interruptedCode, interruptedSentence, listenForInterrupts } from './interruption.ts';
import { forgetLeftOut, leftOutSummary } from './left-out.ts';
import { printWarnings, setRunningCommand, withFlags } from './notices.ts';

/** The root command. Only the command that is asked for is loaded; the others have a name and a line in the overview. */
async function program(argv: readonly string[]): Promise<CommandUnknownOpts> {
  const root = new Command('dino8')
    .description('Open-vocabulary detection in 8 bits: GroundingDINO to a measured, deployable INT8 ONNX model.')
    .version(packageVersion())
    .showHelpAfterError('(add --help for the options of the command)')
    .configureHelp({ subcommandTerm: (command) => command.name() })
    .addHelpText(
      'after',
      '\nStart with:\n  $ dino8 demo             runs the whole pipeline on the bundled model and writes a report\n  $ dino8 COMMAND --help   explains a command and its options, with examples',
    );
  const asked = commandName(argv);
  for (const { name, summary, group, load } of COMMANDS) {
    const command = name === asked ? await load() : new Command(name);
    if (name === asked) {
      layOutHelp(command);
      command.hook('preAction', (_, running) => checkReadFiles(running.opts()));
      setRunningCommand(command);
    }
    root.addCommand(command.summary(summary).helpGroup(group));
  }
  for (const command of [root, ...root.commands]) command.exitOverride();
  return root;
}

/**
 * Runs the command line.
 *
 * @returns the exit code: 0 if all is done, 1 if it failed, 2 if it was misused, 130 or 143 if it was interrupted
 */
export async function main(argv: readonly string[]): Promise<number> {
  noteArguments(argv.slice(2));
  listenForInterrupts();
  printWarnings();
  forgetLeftOut();
  try {
    await (await program(argv)).parseAsync([...argv]);
    const code = interruptedCode();
    if (code !== undefined) {
      process.stderr.write('\ndino8: interrupted when the work was done; its results are complete.\n');
      return code;
    }
    const summary = leftOutSummary();
    if (summary === undefined) return 0;
    process.stderr.write(`dino8: ${summary}\n`);
    return 1;
  } catch (thrown) {
    // A step says itself what it has that can be lowered.
    const error = withMemoryAdvice(thrown, ['`threads`']);
    // Commander has printed its own message: help, the version, or the argument that was wrong.
    if (error instanceof CommanderError) return error.exitCode === 0 ? 0 : 2;
    // An error after an interruption comes of it, whatever it says: a helper program, for example, was ended by the same key.
    const code = interruptedCode();
    if (code !== undefined) {
      process.stderr.write(`\ndino8: ${interruptedSentence()}\n`);
      return code;
    }
    if (error instanceof Dino8Error) {
      process.stderr.write(`dino8: ${withFlags(error.message)}\n`);
      return error.exitCode;
    }
    const details = process.env.DINO8_DEBUG && error instanceof Error ? error.stack : printable(messageOf(error));
    process.stderr.write(`dino8: internal error, please report it: ${details}\n`);
    return 1;
  }
}
