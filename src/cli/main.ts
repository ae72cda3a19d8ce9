/** The command line: finds the command, runs it, and turns every failure into one sentence and an exit code. */
import { Command, CommanderError } from 'commander';
import { Dino8Error, messageOf } from '../base/errors.ts';
import { packageVersion } from '../base/package-root.ts';
import { calibrateCommand } from './calibrate.ts';
import { compareCommand } from './compare.ts';
import { convertCommand } from './convert.ts';
import { demoCommand } from './demo.ts';
import { detectCommand } from './detect.ts';
import { doctorCommand } from './doctor.ts';
import { evalCommand } from './eval.ts';
import { inspectCommand } from './inspect.ts';
import { lintCommand } from './lint.ts';
import { measureCommand } from './measure.ts';
import { qatCommand } from './qat.ts';
import { quantizeCommand } from './quantize.ts';
import { sensitivityCommand } from './sensitivity.ts';
import { specializeCommand } from './specialize.ts';
import { Interrupted, listenForInterrupts } from './terminal.ts';
import { trainCommand } from './train.ts';
import { tuneCommand } from './tune.ts';

function program(): Command {
  const root = new Command('dino8')
    .description('Open-vocabulary detection in 8 bits: GroundingDINO to a measured, deployable INT8 ONNX model.')
    .version(packageVersion())
    .showHelpAfterError('(add --help for what the command takes)')
    .addHelpText(
      'after',
      '\nStart with:\n  $ dino8 demo          the whole pipeline on the bundled model, with a report\n  $ dino8 doctor        what this machine can do',
    );
  const commands = [
    detectCommand(),
    convertCommand(),
    calibrateCommand(),
    quantizeCommand(),
    qatCommand(),
    trainCommand(),
    compareCommand(),
    sensitivityCommand(),
    tuneCommand(),
    specializeCommand(),
    evalCommand(),
    measureCommand(),
    inspectCommand(),
    lintCommand(),
    demoCommand(),
    doctorCommand(),
  ];
  for (const command of commands) root.addCommand(command);
  for (const command of [root, ...commands]) command.exitOverride();
  return root;
}

/** Runs the command line and answers its exit code: 0 done, 1 failed, 2 misused, 130 interrupted. */
export async function main(argv: readonly string[]): Promise<number> {
  listenForInterrupts();
  try {
    await program().parseAsync([...argv]);
    return 0;
  } catch (error) {
    // Commander has printed its own message: help, version, or what was wrong with the arguments.
    if (error instanceof CommanderError) return error.exitCode === 0 ? 0 : 2;
    if (error instanceof Interrupted) {
      process.stderr.write('\ndino8: interrupted.\n');
      return 130;
    }
    if (error instanceof Dino8Error) {
      process.stderr.write(`dino8: ${error.message}\n`);
      return error.exitCode;
    }
    const details = process.env.DINO8_DEBUG && error instanceof Error ? error.stack : messageOf(error);
    process.stderr.write(`dino8: internal error, please report it: ${details}\n`);
    return 1;
  }
}
